"""Soundscapes: hours of background with events at known times, and how well a model finds these."""
