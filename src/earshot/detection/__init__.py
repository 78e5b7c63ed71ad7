"""Trained models at work on any sound: windows, a timeline of scores, events."""
