"""Runs in MLflow: what is logged, when it is sent, and what is kept until it can be."""
