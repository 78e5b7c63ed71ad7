"""Trained models for model hubs: a folder with a card, the model as ONNX, and a script that needs no earshot."""
