"""Python's collector of cycles, told that a process of ours makes many objects and few cycles."""

import gc

NEW_OBJECTS = 100_000
"""So many more than were let go, before the collector looks at them: above what two batches of a backfill hold at once.
With 20,000 it looked a quarter of their time at objects that are no garbage."""


def collect_seldom() -> None:
    """Spare the collector what lives as long as the process, and most of its looks at what work leaves behind."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 20, 20)
