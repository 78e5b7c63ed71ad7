"""`python -m earshot.cli`: the same as `earshot`."""

from earshot.cli.main import main

main(prog_name="earshot")
