"""Runs in MLflow: what is logged, when it is sent, and what waits until it can be sent."""
