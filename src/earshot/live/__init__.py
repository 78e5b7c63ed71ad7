"""What `earshot repro` shows while DVC runs the stages: one view in a terminal, a line for each stage elsewhere."""
