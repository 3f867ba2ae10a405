"""Labels of observed spectra by a validator or by least squares, their uncertainties and their limits."""
