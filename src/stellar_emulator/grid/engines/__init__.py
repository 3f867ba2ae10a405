"""Radiative transfer: intrinsic spectra computed run by run, and the journal of what was computed."""
