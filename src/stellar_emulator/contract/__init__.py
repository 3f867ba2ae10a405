"""The data contract: labels, bounds, wavelengths, limits of gate and validation; and users' tables of labels."""
