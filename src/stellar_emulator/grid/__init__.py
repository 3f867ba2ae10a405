"""The grid: labels, radiative transfer, broadening, storage and checks."""
