"""How the report and the terminal write numbers."""

from __future__ import annotations

NOTHING = "–"
MINUS = "−"  # as wide as a plus, which a hyphen is not


def score(value: float | None) -> str:
    """Write a score with three decimals; a dash where there is none."""
    return NOTHING if value is None else f"{value:.3f}"


def signed(value: float | None) -> str:
    """Write a difference with its sign; what rounds to nothing has none."""
    if value is None:
        return NOTHING
    text = f"{value:+.3f}"
    return text[1:] if float(text) == 0 else text.replace("-", MINUS)


def percent(share: float | None) -> str:
    """Write a share as a whole percentage."""
    return NOTHING if share is None else f"{share:.0%}"


def whole(value: float | None) -> str:
    """Write a count with thin spaces between thousands."""
    return NOTHING if value is None else f"{value:,.0f}".replace(",", "\u202f")


def duration(seconds: float) -> str:
    """Write a length of audio in hours, minutes or seconds, whichever reads best."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
