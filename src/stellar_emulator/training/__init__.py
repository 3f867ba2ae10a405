"""Trains emulators and validators on a grid."""
