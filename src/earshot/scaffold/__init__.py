"""A project of one's own: begun with the files that earshot brings, and brought up to date with a newer earshot."""
