"""What the command's verbs do: read parameters, call the pure rooms, log to MLflow. No science here."""
