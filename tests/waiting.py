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
