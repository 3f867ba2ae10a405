"""The data contract: labels, bounds, wavelengths, limits of gate and validation; and the tables of labels that users
give."""
