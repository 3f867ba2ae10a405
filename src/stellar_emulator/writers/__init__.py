"""Files of generated spectra, one module a format."""
