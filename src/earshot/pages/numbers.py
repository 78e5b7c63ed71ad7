"""Numbers as text, for the report and the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

NOTHING = "–"
MINUS = "−"  # as wide as a plus, which a hyphen is not


def score(value: float | None) -> str:
    """Write a score with three decimals; a dash where there is none."""
    return NOTHING if value is None else f"{value:.3f}"


def signed(value: float | None) -> str:
    """Write a difference with its sign; one that rounds to zero has none."""
    if value is None:
        return NOTHING
    text = f"{value:+.3f}"
    return text[1:] if float(text) == 0 else text.replace("-", MINUS)


def interval(low: float | None, high: float | None, write: Callable[[float], str] = score) -> str:
    """Write an interval in brackets; nothing where there is none."""
    return "" if low is None or high is None else f"[{write(low)}, {write(high)}]"


def with_interval(scores: Mapping[str, Any] | None, metric: str) -> str:
    """Write a score of a row of the summary with its interval below it."""
    if not scores:
        return NOTHING
    return f"{score(scores[metric])}\n{interval(scores[f'{metric}_low'], scores[f'{metric}_high'])}".rstrip()


def p_value(p: float) -> str:
    """Write a p-value."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


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


def dbfs(level: float) -> str:
    """Write a level in dBFS."""
    return f"{level:.1f} dBFS".replace("-inf", "-∞").replace("-", MINUS)
