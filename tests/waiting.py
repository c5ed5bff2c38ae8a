"""Waiting for what other processes do, with a bound."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

PATIENCE_SECONDS = 120.0
"""Only a test that fails waits so long; one on a machine that is busy elsewhere may need a good part of it."""


def until(look: Callable[[], Found], *, within_seconds: float = PATIENCE_SECONDS, what: str = "") -> Found:
    """The first truthy answer of `look`. Fails the test when none comes within the bound."""
    deadline = time.monotonic() + within_seconds
    while not (found := look()):
        assert time.monotonic() < deadline, (
            f"{what or look} did not come within {within_seconds} s: {found!r}"
        )
        time.sleep(0.02)
    return found


def insisting(
    act: Callable[[], object], look: Callable[[], Found], *, every_seconds: float = 10.0, what: str = ""
) -> Found:
    """Acts, and again every so often, until `look` answers: for messages that may be lost by right, as nudges are."""
    acted_at = float("-inf")

    def acted() -> Found:
        nonlocal acted_at
        if time.monotonic() - acted_at >= every_seconds:
            act()
            acted_at = time.monotonic()
        return look()

    return until(acted, what=what)
