"""Tuning: sweeps over settings, searches for the best, and promoting what was found."""
