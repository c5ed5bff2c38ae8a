"""A run as it gets on: a progress bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from models.backfills.runs import Run
from ops.cli.backfills.signs import silence_words
from ops.cli.backfills.telling import ENDED, state_words
from ops.cli.backfills.words import words_of
from tasks.backfills.pacing import ROWS_FIRST
from tasks.backfills.progress import progress

POLL_SECONDS = 0.3
TELL_SECONDS = 5.0
UNTAKEN_SECONDS = 10.0
NOBODY = (
    "no worker has taken it yet. 'ledgerbeat up' starts all that is needed; one worker for it alone:\n"
    "    celery -A worker worker --queues backfills,intake -n backfills@%h   (and: celery -A worker beat)\n"
    "It begins as soon as there is one; --here works in this process instead."
)


class Watcher(Protocol):
    """Whoever shows how a run gets on."""

    def show(self, run: Run) -> None: ...


def follow(
    look: Callable[[], Run],
    watcher: Watcher,
    *,
    ticks: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Run:
    """Look until nothing more happens by itself; says once when nobody takes the run. The run as it ended."""
    begun, told = ticks(), False
    while (run := look()).state not in ENDED:
        watcher.show(run)
        if run.started_at is None and not told and ticks() - begun >= UNTAKEN_SECONDS:
            click.echo(NOBODY, err=True)
            told = True
        sleep(POLL_SECONDS)
    watcher.show(run)
    return run


@contextmanager
def watching(*, err: bool = True) -> Iterator[Watcher]:
    """A bar where standard error (or output) is a terminal, else lines."""
    console = Console(stderr=err, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        yield Lines(err=err)
        return
    with bar(console) as drawn:
        yield drawn


def details(run: Run, now: datetime) -> str:
    """What became of the rows so far, and what slows it down."""
    words = words_of(run)
    counts = [f"{run.posted:,} {words.done}"]
    if words.again:
        counts.append(f"{run.replayed:,} replayed")
    counts.append(f"{run.quarantined:,} set aside")
    if run.waiting:
        counts.append(f"{run.waiting:,} waiting")
    if pace := pace_words(run, now):
        counts.append(pace)
    return ", ".join(counts)


def pace_words(run: Run, now: datetime) -> str:
    """Empty at full speed, also while a run that has just begun is not there yet."""
    if run.state == "pending":
        return "not begun"
    if silent := silence_words(run, now):
        return silent
    rest = (run.next_batch_at - now).total_seconds()
    if rest > 0:
        return f"rests {rest:.0f} s: live work goes first"
    if (
        run.state == "running"
        and run.rows_last is not None
        and run.rows_last < min(run.batch_rows, ROWS_FIRST)
    ):
        return f"slowed to {run.rows_last:,} rows a batch"
    return ""


class Lines:
    """One line when something new can be told, at most every TELL_SECONDS."""

    def __init__(self, *, err: bool = True) -> None:
        self._err = err
        self._told = ""
        self._next = 0.0

    def show(self, run: Run) -> None:
        """See Watcher."""
        ended = run.state in ENDED
        how_far = f"{run.rows_read:,} rows" if ended else progress(run)
        line = f"{state_words(run)}: {how_far}; {details(run, datetime.now(UTC))}"
        if line != self._told and (ended or time.monotonic() >= self._next):
            click.echo(line, err=self._err)
            self._told, self._next = line, time.monotonic() + TELL_SECONDS


class Bar:
    """One row of rich's: how far, how fast, how long still, and what became of the rows."""

    def __init__(self, drawn: Progress) -> None:
        self._drawn = drawn
        self._task: TaskID | None = None

    def show(self, run: Run) -> None:
        """See Watcher. Without a known end the bar pulses."""
        now = progress(run)
        if self._task is None:
            self._task = self._drawn.add_task("", total=None, far="", what="")
        self._drawn.update(
            self._task,
            description="dry run" if run.dry_run else run.kind,
            total=None if now.fraction is None else 1.0,
            completed=now.fraction or 0.0,
            far=str(now),
            what=details(run, datetime.now(UTC)),
        )


@contextmanager
def bar(console: Console) -> Iterator[Bar]:
    """Drawn until the end of the block, and then left as it is."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[far]}\n{task.fields[what]}", markup=False),
    )
    with Progress(*columns, console=console) as drawn:
        yield Bar(drawn)
