"""Mistakes that astronomers make with grids, as code: each is done to a good grid, which `validate` then judges."""
