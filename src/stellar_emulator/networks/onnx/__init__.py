"""Trained networks as graphs for ONNX Runtime: generating, broadening, derivatives, and running them."""
