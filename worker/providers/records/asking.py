"""Asking a provider for page after page: again when that may help, never for ever, never round in a circle."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from worker.providers.payouts.wire import CallFailed
from worker.providers.records.port import SourceFailed

PAGES_MAX = 50_000
PAGE_BYTES_MAX = 16 * 1024 * 1024

Page = TypeVar("Page")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long we ask: each page up to `tries` times, with pauses that double, all pages in `total_seconds`."""

    tries: int = 6
    first_pause_seconds: float = 0.5
    pause_seconds_max: float = 60
    total_seconds: float = 3600
    sleep: Callable[[float], object] = time.sleep


class TryLater(Exception):
    """This call failed in a way that may pass. `code` is safe to log."""

    def __init__(self, code: str, after_seconds: float | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.after_seconds = after_seconds


class Asking:
    """One read of one list, from its first page to its last."""

    def __init__(self, provider: str, patience: Patience) -> None:
        self._provider = provider
        self._patience = patience
        self._deadline = time.monotonic() + patience.total_seconds
        self._seen: set[int] = set()
        self._pages = 0

    def page(self, call: Callable[[], Page]) -> Page:
        """What `call` returns, asked again after TryLater and after a call that got no answer. Raises SourceFailed."""
        for turn in range(1, self._patience.tries + 1):
            try:
                return call()
            except TryLater as error:
                code, after_seconds = error.code, error.after_seconds
            except CallFailed as error:
                code, after_seconds = error.code, None
            pause = self._pause(turn, after_seconds)
            if turn == self._patience.tries or time.monotonic() + pause > self._deadline:
                raise self.failed(f"{code}, after {turn} tries")
            self._patience.sleep(pause)
        raise self.failed("not one try is allowed")

    def went_on(self, ids: Sequence[object], cursor: object) -> None:
        """Note a page and where the next one is. Raises SourceFailed when either was there before."""
        self._pages += 1
        marks = {hash(("cursor", str(cursor)))} if cursor is not None else set()
        marks |= {hash(("page", *map(str, ids)))} if ids else set()
        if marks & self._seen:
            raise self.failed("the same page came twice")
        if self._pages >= PAGES_MAX and cursor is not None:
            raise self.failed(f"more than {PAGES_MAX} pages")
        if time.monotonic() > self._deadline and cursor is not None:
            raise self.failed("it took too long")
        self._seen |= marks

    def failed(self, reason: str) -> SourceFailed:
        """To be raised: `reason` in our words, nothing of an answer."""
        return SourceFailed(f"the records of provider {self._provider} could not be read: {reason}")

    def _pause(self, turn: int, after_seconds: float | None) -> float:
        wanted = after_seconds or self._patience.first_pause_seconds * 2 ** (turn - 1)
        return min(wanted, self._patience.pause_seconds_max)
