"""Files of observed spectra, read into raw tables."""
