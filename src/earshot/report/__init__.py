"""The comparison as people read it: the report, docs/results.md and tables in the terminal."""
