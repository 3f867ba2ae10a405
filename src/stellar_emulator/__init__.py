"""Emulators of stellar spectra: grid, networks, accuracies, registered models."""
