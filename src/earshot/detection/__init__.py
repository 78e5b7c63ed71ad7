"""Trained models at work on any recording: windows, a timeline of scores, events."""
