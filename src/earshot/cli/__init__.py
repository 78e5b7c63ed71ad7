"""`earshot ...`, the commands that people run: a file for each section of the help."""
