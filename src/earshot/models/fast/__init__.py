"""Layers that compute the same as those of torch.nn on a CPU, faster."""
