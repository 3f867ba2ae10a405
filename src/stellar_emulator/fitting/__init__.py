"""Labels of observed spectra by a validator or by least squares, their uncertainties and what limits them."""
