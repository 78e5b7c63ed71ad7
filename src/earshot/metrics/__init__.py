"""Metrics of predictions, and their intervals and tests."""
