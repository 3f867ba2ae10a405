"""Imports grids of other codes: their spectra come onto one axis, and a data contract is drafted from what is there."""
