"""What measures: each file is a script, run as `python benchmarks/NAME.py`, and writes to build/bench/."""
