"""Weights as Keras starts them, which is how the tutorials' models started.

Glorot uniform for kernels, orthogonal for recurrent kernels, zero for biases, one for the LSTM's forget gate
(https://keras.io/api/layers: the layers' `kernel_initializer`, `recurrent_initializer`, `unit_forget_bias`).
"""

from __future__ import annotations

from torch import nn


def keras_init(module: nn.Module) -> None:
    """Start the weights of one layer; for `nn.Module.apply`."""
    if isinstance(module, nn.Linear | nn.Conv1d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LSTM):
        _start_lstm(module)


def _start_lstm(lstm: nn.LSTM) -> None:
    weights = dict(lstm.named_parameters())
    nn.init.xavier_uniform_(weights["weight_ih_l0"])
    nn.init.orthogonal_(weights["weight_hh_l0"])
    bias, second = weights["bias_ih_l0"], weights["bias_hh_l0"]
    nn.init.zeros_(bias)
    nn.init.ones_(bias.data[lstm.hidden_size : 2 * lstm.hidden_size])  # gates: input, forget, cell, output
    # torch adds two biases where Keras has one; the second stays zero
    nn.init.zeros_(second)
    second.requires_grad_(False)
