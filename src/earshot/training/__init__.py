"""Training: one run fitted, cached, logged and reproduced."""
