"""A model's layers, as Keras' `model.summary()` lists them: names, kinds, output shapes and parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

HEADINGS = {"layer": "layer", "kind": "kind", "output_shape": "output shape", "parameters": "parameters"}


def layers_of(net: nn.Module, window_shape: tuple[int, int]) -> list[dict[str, Any]]:
    """List the layers that a window of shape (T, F) passes, in that order; net and random state stay as they are.

    Returns
    -------
    A row for each layer, with the keys

    layer : its name in the network
    kind : its class
    output_shape : for one window, without the batch; None where the network uses a layer's weights without calling it
    parameters : how many training can change; those that layers share are counted once
    """
    rows: list[dict[str, Any]] = []
    counted: set[int] = set()

    def add(name: str, module: nn.Module, output: Any) -> None:
        new = [p for p in module.parameters(recurse=False) if p.requires_grad and id(p) not in counted]
        counted.update(id(p) for p in new)
        shape = list(output.shape[1:]) if isinstance(output, torch.Tensor) else None
        size = sum(p.numel() for p in new)
        rows.append({"layer": name, "kind": type(module).__name__, "output_shape": shape, "parameters": size})

    def hook(name: str, module: nn.Module, _inputs: Any, output: Any) -> None:
        add(name, module, output[0] if isinstance(output, tuple) else output)  # a recurrent layer returns its state too

    named = [(name, module) for name, module in net.named_modules() if _is_layer(module)]
    handles = [module.register_forward_hook(partial(hook, name.removeprefix("model."))) for name, module in named]
    modes = [(module, module.training) for module in net.modules()]
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            net.eval()(torch.zeros(1, *window_shape))
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    for name, module in named:
        if any(p.requires_grad and id(p) not in counted for p in module.parameters(recurse=False)):
            add(name.removeprefix("model."), module, None)
    return rows


def _is_layer(module: nn.Module) -> bool:
    """Tell layers from the containers around them, which have no weights of their own."""
    return not any(module.children()) or any(True for _ in module.parameters(recurse=False))


def as_text(layers: Sequence[Mapping[str, Any]]) -> str:
    """Return rows of `layers_of` as a table in plain text, with the sum of the parameters."""
    cells = [list(HEADINGS.values())]
    cells += [[row["layer"], row["kind"], shape_text(row), f"{row['parameters']:,}"] for row in layers]
    cells.append(["total", "", "", f"{sum(row['parameters'] for row in layers):,}"])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line[:-1], widths, strict=False))])
        + f"  {line[-1]:>{widths[-1]}}\n"
        for line in cells
    )


def shape_text(row: Mapping[str, Any]) -> str:
    """Return a layer's output shape as it is written, e.g. (16, 32000)."""
    return "–" if row["output_shape"] is None else f"({', '.join(map(str, row['output_shape']))})"
