"""Leaks: what test and training parts share, found in the sound itself."""
