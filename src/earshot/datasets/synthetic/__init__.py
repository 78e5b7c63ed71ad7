"""Synthetic datasets: music and traffic that are made by code."""
