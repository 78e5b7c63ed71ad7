"""What all pages share: names from outside are escaped, numbers written one way, and base.html.j2 is the frame."""

from __future__ import annotations

from collections.abc import Callable
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


def template(path: Path, *filters: Callable) -> jinja2.Template:
    """Return the template of a page, which may extend base.html.j2; `filters` are its own, beside `FILTERS`."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([path.parent, HERE]),
        autoescape=True,  # class and dataset names come from the user's folders
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for write in (*FILTERS, *filters):
        environment.filters[write.__name__] = write
    environment.globals["style"] = Markup(STYLE_SHEET)
    return environment.get_template(path.name)
