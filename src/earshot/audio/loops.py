"""Loops over samples and bins that numpy would need many passes over memory for."""

from __future__ import annotations

import numba

# Sums may be taken in another order, and so several numbers at a time; not-a-number keeps its meaning.
loops = numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
