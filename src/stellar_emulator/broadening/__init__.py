"""Rotation, macroturbulence and the instrument's profile as exact convolutions of intrinsic spectra."""
