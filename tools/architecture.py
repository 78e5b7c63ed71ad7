"""Draw the pictures of docs/architecture.md: `make docs`.

flow.svg shows the stages of dvc.yaml and what they hand on; rooms.svg the folders of src/earshot in the order in which
they may import each other. Both are read from the files themselves, so they show what is there.
"""

from __future__ import annotations

import ast
import itertools
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from statistics import fmean
from typing import Any

import grimp
import networkx as nx
import yaml

from earshot.files import write_text

PROJECT = Path(__file__).parent.parent
IMAGES = PROJECT / "docs" / "images"
CODE = PROJECT / "src" / "earshot"
GROUND = "ground"  # the flat files, which everything may import
WIDTH = 860  # of a picture, px
LETTER = 6.8  # px, a generous mean, so that no font is too wide for a box
WIDEST, PASSED = 240, 24  # px: a stage's box, and what an arrow takes that passes a row
LINE, GAP, ROW_GAP = 16, 16, 40  # px: a line of text, between boxes side by side, between rows
# An opaque background of its own, so that the text can be read whatever the page looks like.
STYLE = """
  svg { background: #ffffff; font-family: Helvetica, Arial, sans-serif; font-size: 12px }
  rect.page { fill: #ffffff } rect.box { fill: #eef3f8; stroke: #5b7a99 }
  text { fill: #1b2733 } text.name { font-weight: bold; font-size: 14px } text.small { fill: #40566c; font-size: 11px }
  path.arrow { fill: none; stroke: #5b7a99; stroke-width: 1.4 } path.head { fill: #5b7a99 }
  @media (prefers-color-scheme: dark) {
    svg { background: #14191f } rect.page { fill: #14191f } rect.box { fill: #212b36; stroke: #7f9cb8 }
    text { fill: #e6edf3 } text.small { fill: #b4c3d1 }
    path.arrow { stroke: #7f9cb8 } path.head { fill: #7f9cb8 }
  }
"""


@dataclass
class Box:
    """A box: a bold name and lines of text below it. One without a name is only a place where an arrow passes.

    Attributes
    ----------
    x, y, height : px, the upper left corner and the height of its row, once it has been placed
    """

    name: str
    text: list[str]
    small: list[str]
    width: float
    x: float = 0
    y: float = 0
    height: float = 0

    @property
    def middle(self) -> float:
        """Return px from the left."""
        return self.x + self.width / 2

    def drawn(self) -> Iterator[str]:
        """Yield its SVG."""
        if not self.name:
            yield f'<path class="arrow" d="M{self.middle:g} {self.y:g}v{self.height:g}"/>'
            return
        place = f'x="{self.x:g}" y="{self.y:g}" width="{self.width:g}" height="{self.height:g}"'
        yield f'<rect class="box" {place} rx="6"/>'
        kinds = ["name", *["plain"] * len(self.text), *["small"] * len(self.small)]
        for number, (kind, line) in enumerate(zip(kinds, [self.name, *self.text, *self.small], strict=True), start=1):
            place = f'x="{self.middle:g}" y="{self.y + 4 + LINE * number:g}" text-anchor="middle"'
            yield f'<text class="{kind}" {place}>{escape(line)}</text>'


def box_of(name: str, text: str, small: list[str], width: float) -> Box:
    """Return a box with a text in lines that fit into its width."""
    return Box(name, textwrap.wrap(text, int((width - 12) / LETTER)), small, width)


def placed(row: list[Box], y: float) -> float:
    """Place boxes side by side in the middle of the picture, all as high as the highest; return where the row ends."""
    x = (WIDTH - sum(box.width for box in row) - GAP * (len(row) - 1)) / 2
    height = max(LINE * (1 + len(box.text) + len(box.small)) + 14 for box in row)
    for box in row:
        box.x, box.y, box.height = x, y, height
        x += box.width + GAP
    return y + height


def page(elements: list[str], title: str, height: float) -> str:
    """Return a whole SVG file."""
    size = f'width="{WIDTH}" height="{height:g}" viewBox="0 0 {WIDTH} {height:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<title>{title}</title>\n<style>{STYLE}</style>'
    return "\n".join([head, '<rect class="page" width="100%" height="100%"/>', *elements, "</svg>\n"])


# The flow: stages in rows, each below those whose results it reads.


def stages() -> dict[str, dict[str, Any]]:
    """Return what dvc.yaml says of each stage: `desc`, `deps` and `outs` (with metrics), DATASET for each dataset.

    Not of the stage `code`, which all others depend on.
    """
    found = {}
    for name, entry in yaml.safe_load((PROJECT / "dvc.yaml").read_text("utf-8"))["stages"].items():
        if name == "code":
            continue
        facts = entry.get("do", entry)
        outs = [*facts.get("outs", []), *facts.get("metrics", [])]
        found[name] = {
            "desc": facts.get("desc", ""),
            "deps": [path.replace("${item}", "DATASET") for path in facts["deps"]],
            "outs": [path.replace("${item}", "DATASET") for path in outs],
        }
    return found


def ordered(nodes: Iterable[str], edges: Iterable[tuple[str, str]]) -> nx.DiGraph:
    """Return a graph whose nodes and edges are gone through in this order, so that a picture has the same bytes."""
    graph = nx.DiGraph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from(edges)
    return graph


def handed_on(facts: dict[str, dict[str, Any]]) -> nx.DiGraph:
    """Return which stage reads what another one wrote, without what follows from other arrows."""
    graph = ordered(
        facts,
        [
            (writer, reader)
            for (writer, written), (reader, read) in itertools.permutations(facts.items(), 2)
            if any((out + "/").startswith(dep + "/") for out in written["outs"] for dep in read["deps"])
        ],
    )
    needed = nx.transitive_reduction(graph)
    return ordered(facts, [(start, end) for start in facts for end in facts if needed.has_edge(start, end)])


def rows_of(graph: nx.DiGraph) -> tuple[list[list[str]], nx.DiGraph]:
    """Return nodes in rows, and a graph in which an arrow over several rows passes through a node of each.

    Nodes stand near the middle of what leads to them, so that few arrows cross.
    """
    rows = [list(row) for row in nx.topological_generations(graph)]
    row_of = {node: number for number, row in enumerate(rows) for node in row}
    passing = nx.DiGraph()
    for start, end in graph.edges:
        through = [f"{start}>{end}>{row}" for row in range(row_of[start] + 1, row_of[end])]
        nx.add_path(passing, [start, *through, end])
        for node, row in zip(through, rows[row_of[start] + 1 :], strict=False):
            row.append(node)
    for above, below in itertools.pairwise(rows):
        place = {node: (number + 0.5) / len(above) for number, node in enumerate(above)}
        middle = {node: fmean(place[one] for one in passing.predecessors(node)) for node in below}
        below.sort(key=middle.__getitem__)
    return rows, passing


def flow() -> str:
    """Return flow.svg."""
    facts = stages()
    rows, passing = rows_of(handed_on(facts))
    boxes: dict[str, Box] = {}
    y = 16.0
    for row in rows:
        passed = sum(node not in facts for node in row)
        room = WIDTH - 32 - GAP * (len(row) - 1) - PASSED * passed
        width = min(WIDEST, room / max(1, len(row) - passed))
        for node in row:
            told = facts.get(node)
            boxes[node] = box_of(node, told["desc"], told["outs"], width) if told else Box("", [], [], PASSED)
        y = placed([boxes[node] for node in row], y) + ROW_GAP
    elements = [line for start, end in passing.edges for line in arrow(boxes[start], boxes[end])]
    elements += [line for box in boxes.values() for line in box.drawn()]
    return page(elements, "The stages, from recordings to the report", y - ROW_GAP + 16)


def arrow(start: Box, end: Box) -> Iterator[str]:
    """Yield a curve from the bottom of a box to the top of one in the next row."""
    top, bottom = start.y + start.height, end.y - (7 if end.name else 0)
    half = (top + bottom) / 2
    curve = f"M{start.middle:g} {top:g}C{start.middle:g} {half:g} {end.middle:g} {half:g} {end.middle:g} {bottom:g}"
    yield f'<path class="arrow" d="{curve}"/>'
    if end.name:
        yield f'<path class="head" d="M{end.middle - 4:g} {bottom:g}h8l-4 7z"/>'


# The rooms: each row may import from the rows below it.


def room_of(module: str) -> str:
    """Return the room of a module such as earshot.audio.decode."""
    inside = module.split(".")[1:]
    return inside[0] if inside and (CODE / inside[0]).is_dir() else GROUND


def imported() -> nx.DiGraph:
    """Return which room imports which, and that each may import the flat files."""
    graph = grimp.build_graph("earshot", exclude_type_checking_imports=True)
    found = {
        (room_of(module), room_of(other))
        for module in graph.modules
        for other in graph.find_modules_directly_imported_by(module)
    }
    nodes = sorted({*map(room_of, graph.modules)})
    return ordered(nodes, sorted(pair for pair in found | {(room, GROUND) for room in nodes} if len({*pair}) > 1))


def purpose(room: str) -> str:
    """Return the first line of a room's docstring."""
    documented = ast.get_docstring(ast.parse((CODE / room / "__init__.py").read_text("utf-8"))) or ""
    return documented.partition("\n")[0].rstrip(".").replace("`", "")


def rooms_picture() -> str:
    """Return rooms.svg."""
    graph = imported()
    flat = sorted(path.stem for path in CODE.glob("*.py") if path.stem != "__init__")
    elements, y = [], 16.0
    for row in reversed([sorted(row) for row in nx.topological_generations(graph.reverse())]):
        width = (WIDTH - 32 - GAP * (max(len(row), 3) - 1)) / max(len(row), 3)
        boxes = [box_of(room, purpose(room), [], width) for room in row if room != GROUND]
        boxes += [box_of("flat files", ", ".join(flat), [], WIDTH - 32)] if GROUND in row else []
        y = placed(boxes, y) + GAP
        elements += [line for box in boxes for line in box.drawn()]
    return page(elements, "The rooms of src/earshot: each imports from those in the rows below it", y)


def main() -> None:
    """Write both pictures to docs/images/, or to the folder that is named."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    for name, draw in {"flow": flow, "rooms": rooms_picture}.items():
        write_text(folder / f"{name}.svg", draw())
        print(f"written: {folder / name}.svg")


if __name__ == "__main__":
    main()
