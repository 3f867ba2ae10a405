"""The networks: Keras models built from presets, and the plain dense layers that they become once trained."""
