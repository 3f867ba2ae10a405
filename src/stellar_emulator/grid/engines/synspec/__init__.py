"""SYNSPEC: its source, atmospheres and line lists, and one run of it."""
