"""The version of this package; no other file states it, and pyproject.toml reads it from here."""

VERSION = "0.2.0"
