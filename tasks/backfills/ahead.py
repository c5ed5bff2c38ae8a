"""The next rows of a run, read and judged in a thread while PostgreSQL works on those before them."""

from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from threading import Lock, Thread
from typing import Any
from uuid import UUID

from models.backfills.runs import Run
from tasks.backfills.port import Feed, Portion
from tasks.backfills.rows import RowsFeed
from worker.sources.port import Cursor

RUNS_MAX = 4
"""Of so many runs one page is kept, at most: whoever pauses leaves one behind."""

Place = tuple[int, str | None, Cursor | None, int]
"""Whose turn it is for, of which content, from where on, and how many."""


@dataclass(slots=True)
class ReadAhead:
    """One per process. What was read ahead is used by the very next turn of its run, and by nobody later."""

    _pages: dict[UUID, tuple[Place, "Future[Portion[Any]]"]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def read(self, feed: Feed[Any], run: Run, rows: int) -> Portion[Any]:
        """As `feed.read`, and raises what it raises."""
        with self._lock:
            told, page = self._pages.pop(run.id, (None, None))
        if page is not None and told == _place(run, rows):
            return page.result()
        return feed.read(run, rows)

    def begin(self, feed: Feed[Any], run: Run, portion: Portion[Any], rows: int) -> None:
        """Read what follows this portion, if it is a source's rows and there are more."""
        if portion.is_last or not isinstance(feed, RowsFeed):
            return
        following = replace(run, cursor=portion.after, claim_version=run.claim_version + 1)
        page: Future[Portion[Any]] = Future()
        with self._lock:
            self._pages[run.id] = (_place(following, rows), page)
            while len(self._pages) > RUNS_MAX:
                del self._pages[next(iter(self._pages))]
        # A daemon: a source that answers late must not hold up the end of its process.
        Thread(target=_read, args=(page, feed, following, rows), name="reader", daemon=True).start()


def _place(run: Run, rows: int) -> Place:
    return run.claim_version, run.source_digest, run.cursor, rows


def _read(page: "Future[Portion[Any]]", feed: Feed[Any], run: Run, rows: int) -> None:
    try:
        page.set_result(feed.read(run, rows))
    except BaseException as error:  # noqa: BLE001 - raised where the page is asked for
        page.set_exception(error)
