"""Evaluation of trained models: on test parts, in noise and on other datasets. Only this room predicts test parts."""
