"""The next rows of a run, read and judged in a thread while PostgreSQL works on those before them."""

from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Lock, Thread
from time import sleep
from typing import Any
from uuid import UUID

from models.backfills.runs import Run
from tasks.backfills.port import Feed, Portion
from tasks.backfills.rows import RowsFeed
from worker.sources.port import Cursor

RUNS_MAX = 4
"""Of so many runs one page is kept, at most: a run that another process goes on with leaves one behind."""

AFTER_SECONDS = 0.002
"""Whoever began it sends its statement first: of two threads of Python's only one works at a time."""

Place = tuple[int, str | None, Cursor | None, int]
"""Whose turn it is for, of which content, from where on, and how many."""


@dataclass(slots=True)
class ReadAhead:
    """One per process. What was read ahead is used by the very next turn of its run, and by nobody later."""

    _pages: dict[UUID, tuple[Place, "Future[Portion[Any]]"]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    @property
    def pages(self) -> int:
        """How many are kept, or being read."""
        return len(self._pages)

    def read(self, feed: Feed[Any], run: Run, rows: int) -> Portion[Any]:
        """As `feed.read`, and raises what it raises. What could not be read ahead is read again: a source that was away
        for a moment stops nobody before it is their turn."""
        with self._lock:
            told, page = self._pages.pop(run.id, (None, None))
        if page is not None and told == _place(run, rows) and page.exception() is None:
            return page.result()
        return feed.read(run, rows)

    def while_applied(self, feed: Feed[Any], run: Run, portion: Portion[Any], rows: int) -> Feed[Any]:
        """The feed, which begins to read what follows the portion when PostgreSQL gets what the portion asks for: if
        it is a source's rows, and there are more."""
        if portion.is_last or not isinstance(feed, RowsFeed):
            return feed
        following = replace(run, cursor=portion.after, claim_version=run.claim_version + 1)
        return replace(feed, meanwhile=partial(self._begin, feed, following, rows))

    def forget(self, run_id: UUID) -> None:
        """Nobody is going to ask for what was read: the run has stopped."""
        with self._lock:
            self._pages.pop(run_id, None)

    def _begin(self, feed: Feed[Any], run: Run, rows: int) -> None:
        """Once: a batch that is applied again finds it begun."""
        with self._lock:
            if self._pages.get(run.id, (None,))[0] == _place(run, rows):
                return
        page: Future[Portion[Any]] = Future()
        # A daemon: a source that answers late must not hold up the end of its process.
        reader = Thread(target=_read, args=(page, feed, run, rows), name="reader", daemon=True)
        try:
            reader.start()
        except RuntimeError:  # no thread is to be had: the next turn reads for itself
            return
        with self._lock:
            self._pages[run.id] = (_place(run, rows), page)
            while len(self._pages) > RUNS_MAX:
                del self._pages[next(iter(self._pages))]


def _place(run: Run, rows: int) -> Place:
    return run.claim_version, run.source_digest, run.cursor, rows


def _read(page: "Future[Portion[Any]]", feed: Feed[Any], run: Run, rows: int) -> None:
    sleep(AFTER_SECONDS)
    try:
        page.set_result(feed.read(run, rows))
    except BaseException as error:  # noqa: BLE001 - whoever asks for the page reads for itself
        page.set_exception(error)
