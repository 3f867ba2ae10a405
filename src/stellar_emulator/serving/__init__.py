"""What MLflow runs when it serves a registered model: one script for each kind, in MLflow's "models from code" form.

A registered model carries its bundle and a copy of this package, so it loads where the package is not installed.
"""
