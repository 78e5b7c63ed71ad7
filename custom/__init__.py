"""Inputs and models of your own: docs/extending.md."""
