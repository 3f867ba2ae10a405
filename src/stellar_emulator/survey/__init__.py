"""Fits of whole surveys: read in chunks, fitted on many cores, written to a folder that survives kills."""
