"""Splits: windows, spans that stay whole, and the protocols that hand them to train, validation and test."""
