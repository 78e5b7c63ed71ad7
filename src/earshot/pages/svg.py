"""Matplotlib figures as SVG inside a page, in the colours of the page's style sheet."""

from __future__ import annotations

import io
import re
from pathlib import Path
from xml.etree import ElementTree

from matplotlib.figure import Figure

# The style sheet's colours in the light. Figures are drawn in them; inside a page they follow it into the dark.
STYLE_SHEET = (Path(__file__).parent / "style.css").read_text("utf-8")
LIGHT = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", STYLE_SHEET.partition("@media")[0]))
INK, MUTED, PUBLISHED, GROUPED, GREEN, VIOLET, PAGE, LINE = (
    LIGHT[name] for name in ("ink", "muted", "published", "grouped", "green", "violet", "page", "line")
)
VARIABLES = {colour: f"var(--{name})" for name, colour in LIGHT.items()}


def inline(figure: Figure, prefix: str, label: str) -> str:
    """Return a figure, which it lays out, as an `<svg>` that can stand in an HTML page beside others.

    Parameters
    ----------
    figure
        Drawn in the colours of this module.
    prefix
        Put before every id, so that no two plots of a page share one.
    label
        What the plot shows, for those who can't see it.
    """
    _lay_out(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", transparent=True)
    root = ElementTree.fromstring(buffer.getvalue())
    _drop(root, {"metadata", "style"})  # addresses, and rules that would reach the whole page
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(name): _themed(value, prefix) for name, value in element.attrib.items()}
        if "id" in element.attrib:
            element.attrib["id"] = f"{prefix}-{element.attrib['id']}"
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    root.attrib.update({"role": "img", "aria-label": label, "class": "plot"})
    return ElementTree.tostring(root, encoding="unicode")


def _lay_out(figure: Figure) -> None:
    """Have a figure's axes where its layout puts them, to a millionth of its size, and stay there.

    What is beyond differs between processes, since the solver of a constrained layout goes by addresses in memory.
    """
    figure.get_layout_engine().execute(figure)
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position([round(float(bound), 6) for bound in axes.get_position(original=True).bounds])


def _drop(root: ElementTree.Element, tags: set[str]) -> None:
    for parent in list(root.iter()):
        for child in [child for child in parent if _local(child.tag) in tags]:
            parent.remove(child)


def _local(name: str) -> str:
    """Take the namespace off a name: HTML needs none."""
    return name.rpartition("}")[2]


def _themed(value: str, prefix: str) -> str:
    """Name the page's colours instead of giving them, and point references to the prefixed ids."""
    value = re.sub("|".join(VARIABLES), lambda match: VARIABLES[match.group()], value)
    return re.sub(r"^#(?=[A-Za-z])|(?<=url\()#", f"#{prefix}-", value)
