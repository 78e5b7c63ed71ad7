"""Loops over samples and bins that numpy would need many passes over memory for."""

from __future__ import annotations
