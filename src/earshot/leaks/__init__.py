"""Leaks between test and training parts, found in the sound itself."""
