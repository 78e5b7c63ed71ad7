"""Matplotlib figures as SVG inside a page, in the colours of the page's style sheet."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

from matplotlib.figure import Figure

# Colours that stand for what the page decides, in light and in dark.
THEME = {
    "#000001": "currentColor",
    "#000002": "var(--muted)",
    "#000003": "var(--published)",
    "#000004": "var(--grouped)",
    "#000005": "var(--page)",
    "#000006": "var(--line)",
}
INK, MUTED, PUBLISHED, GROUPED, PAGE, LINE = THEME


def inline(figure: Figure, prefix: str, label: str) -> str:
    """Return a figure as an `<svg>` that can stand in an HTML page beside others.

    Parameters
    ----------
    figure
        Drawn in the colours of this module.
    prefix
        Put before every id, so that no two plots of a page share one.
    label
        What the plot shows, for those who can't see it.
    """
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


def _drop(root: ElementTree.Element, tags: set[str]) -> None:
    for parent in list(root.iter()):
        for child in [child for child in parent if _local(child.tag) in tags]:
            parent.remove(child)


def _local(name: str) -> str:
    """Take the namespace off a name: HTML needs none."""
    return name.rpartition("}")[2]


def _themed(value: str, prefix: str) -> str:
    """Point references to the prefixed ids, and name the page's colours for the ones that stand for them."""
    value = re.sub(r"^#(?=[A-Za-z])|(?<=url\()#", f"#{prefix}-", value)
    return re.sub(r"#00000[1-6]\b", lambda match: THEME[match.group()], value)
