"""What the command's verbs do: read parameters, call the pure rooms, log to MLflow. No science here."""

import os

# TensorFlow reads it when it is imported, which a verb's module does; a user's own choice stands.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
