"""Grids of spectra that others computed, one module per format."""
