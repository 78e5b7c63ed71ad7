"""Batches of windows for training and prediction, cut from stored features."""
