"""Files of generated spectra, one module per format."""
