"""Trained models: the folder that holds one, and its predictions."""
