"""Datasets: their cards, their manifests, and how their files are downloaded or made."""
