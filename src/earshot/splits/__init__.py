"""Splits: windows, spans that stay whole, and the protocols that assign them to train, validation and test."""
