"""Trained models on test parts, under noise and on other datasets: the only readers of the test part."""
