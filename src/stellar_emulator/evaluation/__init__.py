"""Measures trained models on computed spectra: accuracies of labels, errors of flux, and the model card."""
