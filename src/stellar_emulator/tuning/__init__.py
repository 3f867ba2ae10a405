"""Keras Tuner's search for presets: what is searched, how a trial is trained and measured, and what is chosen."""
