"""The comparison as people read it: one HTML page and a table in the terminal."""
