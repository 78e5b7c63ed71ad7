"""Sounds to be seen and heard, before they are classified."""

SECONDS = 30.0  # of a recording that are shown
