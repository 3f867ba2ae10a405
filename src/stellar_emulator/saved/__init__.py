"""Trained models on disk: their folders, signatures and fingerprints."""
