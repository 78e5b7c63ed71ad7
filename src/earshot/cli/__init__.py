"""The command line, `earshot ...`: a file for each section of the help, which `main` puts together."""
