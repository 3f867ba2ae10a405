"""The statistical gate: arrays in, a decision out. It knows no registry, no files and no networks."""
