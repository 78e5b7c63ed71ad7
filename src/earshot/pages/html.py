"""The HTML templates of all pages: names are escaped, numbers formatted the same way, and base.html.j2 is the frame."""

from __future__ import annotations

from pathlib import Path

import jinja2
from markupsafe import Markup

from earshot.pages import numbers
from earshot.pages.svg import STYLE_SHEET

HERE = Path(__file__).parent
FILTERS = [
    numbers.score,
    numbers.signed,
    numbers.percent,
    numbers.whole,
    numbers.duration,
    numbers.p_value,
    numbers.dbfs,
]


def template(path: Path) -> jinja2.Template:
    """Return the template of a page, which may extend base.html.j2."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([path.parent, HERE]),
        autoescape=True,  # class and dataset names come from the user's folders
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for write in FILTERS:
        environment.filters[write.__name__] = write
    environment.globals["style"] = Markup(STYLE_SHEET)
    return environment.get_template(path.name)
