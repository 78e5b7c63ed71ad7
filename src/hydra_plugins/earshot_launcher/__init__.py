"""Hydra finds launchers here, and nowhere else; what is imported at once is imported by every composition of conf/."""
