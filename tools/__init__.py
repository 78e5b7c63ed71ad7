"""What writes documents and pictures: each file but the helpers is a command, `python -m tools.NAME`."""
