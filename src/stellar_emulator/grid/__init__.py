"""The grid: its labels, spectra on disk, the split by run, and where the spectra come from."""
