"""How often Python looks for garbage in cycles, which stops all calls of the process meanwhile."""

from __future__ import annotations

import gc

THRESHOLDS = (10_000, 20, 50)
"""Of the three generations. To look through the objects of 300 calls takes a fifth of a second, by Python's own
thresholds once or twice a minute under load: as long as the lead that playout has, and a nearly full core is seconds in
catching up with it. To look through the youngest only takes some milliseconds, also with so many of them."""


def settle() -> None:
    """Once the service is ready: what there is stays, and is not looked through again. Process-wide."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
