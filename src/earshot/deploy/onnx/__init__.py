"""Trained models as ONNX files: samples in, probabilities out."""
