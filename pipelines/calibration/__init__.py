"""The calibration of line data on reference stars: lines, stars, derivatives, solver."""
