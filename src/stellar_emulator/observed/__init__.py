"""Observed spectra: reading files, units and media, velocities, continua, masks, and resampling to a model's axis."""
