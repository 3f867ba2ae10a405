"""Keras Tuner's search for presets: the search space, the training and measurement of a trial, and the choice."""
