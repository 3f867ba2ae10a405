"""The networks: Keras layers built from presets, and the plain dense layers that they become after training."""
