"""Waiting for what other processes do, with a bound."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def until(look: Callable[[], Found], *, within_seconds: float = 20.0, what: str = "") -> Found:
    """The first truthy answer of `look`. Fails the test when none comes within the bound."""
    deadline = time.monotonic() + within_seconds
    while not (found := look()):
        assert time.monotonic() < deadline, (
            f"{what or look} did not come within {within_seconds} s: {found!r}"
        )
        time.sleep(0.02)
    return found
