"""Benchmarks: each module is one command (``python -m benchmarks.NAME``) and prints one table; tests never time."""
