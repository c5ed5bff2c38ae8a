"""Python's collector of cycles, told that a process of ours makes many objects and few cycles."""

import gc


def collect_seldom() -> None:
    """Spare the collector what lives as long as the process, and most of its looks at what work leaves behind."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
