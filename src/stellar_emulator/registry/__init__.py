"""The tracking store and the model registry of MLflow: what is written there, and what is read back."""
