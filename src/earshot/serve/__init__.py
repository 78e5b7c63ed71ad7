"""A page in the browser: drop a recording or record one, see and hear what models find in it."""
