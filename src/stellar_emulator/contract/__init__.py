"""The data contract: labels, bounds, wavelengths, limits of gate and validation; and labels as users give them."""
