"""The statistical gate: it makes a decision from arrays, without a registry, files or networks."""
