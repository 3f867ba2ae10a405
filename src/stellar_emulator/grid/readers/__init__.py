"""Grids of spectra that others computed, one module a format."""
