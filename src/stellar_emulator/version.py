"""The version of this package, its only statement: pyproject.toml reads it too."""

VERSION = "0.2.0"
