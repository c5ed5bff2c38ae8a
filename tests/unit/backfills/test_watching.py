"""How a run is shown while it gets on: a bar on a terminal, lines elsewhere, and a word when nobody takes it."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from rich.console import Console

from models.backfills.runs import Run
from ops.cli.backfills.telling import exit_code, print_list, print_run, source_words, state_words, verdict
from ops.cli.backfills.watching import Lines, bar, details, follow, pace_words

NOW = datetime(2026, 3, 14, 12, tzinfo=UTC)
PENDING = Run(
    id=UUID(int=7), tenant="acme", kind="postings", source={"type": "file", "path": "/srv/old.csv"},
    source_digest=None, namespace="old", options={}, dry_run=False, batch_rows=1000, max_amount_minor=None,
    state="pending", pause_code=None, stop_asked=None, last_error=None, phase="read", cursor=None, rows_read=0,
    posted=0, replayed=0, unchanged=0, quarantined=0, waiting=0, bytes_read=0, bytes_total=None, rows_total=None,
    money={}, reasons={}, batches=0, rows_last=None, last_batch_seconds=None, others_waited_at=None, claim_version=0,
    claimed_until=None,
    next_batch_at=NOW, actor="ops:dana", reason="x", job_id=None, created_at=NOW, started_at=None,
    last_batch_at=None, worked_seconds=0.0, finished_at=None,
)  # fmt: skip
RUNNING = replace(
    PENDING, state="running", started_at=NOW, rows_read=400, posted=390, quarantined=10, rows_total=1000,
    worked_seconds=2.0, rows_last=1000,
)  # fmt: skip
RECALCULATED = replace(
    RUNNING, kind="wallet_recalc", source={"type": "wallets"}, state="done", posted=3, quarantined=0, unchanged=397,
    money={"EUR": {"posted": 21}}, finished_at=NOW,
)  # fmt: skip
DONE = replace(RUNNING, state="done", rows_read=1000, posted=990, finished_at=NOW)


RESUME = f"ledgerbeat backfill resume {PENDING.id} --reason ..."


class Seen:
    """Remembers the states it was shown."""

    def __init__(self) -> None:
        self.states: list[str] = []

    def show(self, run: Run) -> None:
        self.states.append(run.state)


class Sleeper:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def ticks(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def followed(runs: Sequence[Run], err: pytest.CaptureFixture[str]) -> tuple[Run, list[str], str]:
    told: Iterator[Run] = iter(runs)
    seen, time = Seen(), Sleeper()
    ended = follow(lambda: next(told), seen, ticks=time.ticks, sleep=time.sleep)
    return ended, seen.states, err.readouterr().err


@pytest.mark.parametrize("state", ["done", "cancelled", "paused", "failed"])
def test_it_is_followed_until_nothing_more_happens(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    ended, seen, said = followed([PENDING, RUNNING, replace(DONE, state=state)], capsys)
    assert (ended.state, seen, said) == (state, ["pending", "running", state], "")


def test_one_that_nobody_takes_is_said_so_once_after_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    _, _, said = followed([*[PENDING] * 34, DONE], capsys)
    assert said == ""
    _, _, said = followed([*[PENDING] * 100, DONE], capsys)
    assert said.count("no worker has taken it yet") == 1
    assert "celery -A worker worker --queues backfills" in said
    _, _, said = followed([*[RUNNING] * 100, DONE], capsys)
    assert said == ""


def test_a_terminal_has_a_bar_with_all_there_is_to_know() -> None:
    screen = io.StringIO()
    with bar(Console(file=screen, force_terminal=True, width=120, color_system=None)) as drawn:
        drawn.show(PENDING)
        drawn.show(RUNNING)
    said = screen.getvalue()
    for words in (
        "postings",
        "━",
        "400 of 1,000 rows, 200/s, ETA 3 s",
        "390 posted, 0 replayed, 10 set aside",
    ):
        assert words in said, said
    assert "not begun" not in said.splitlines()[-1]


def test_a_file_speaks_to_no_terminal() -> None:
    """Rows and paths are strangers' words: none of them is rich's markup."""
    screen = io.StringIO()
    with bar(Console(file=screen, force_terminal=True, width=120, color_system=None, markup=False)) as drawn:
        drawn.show(replace(RUNNING, kind="[red]postings"))
    assert "[red]postings" in screen.getvalue()


def test_elsewhere_a_line_is_told_when_it_is_news(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    for run in (PENDING, PENDING, RUNNING, DONE, DONE):
        lines.show(run)
    assert capsys.readouterr().err.splitlines() == [
        "pending: 0 rows; 0 posted, 0 replayed, 0 set aside, not begun",
        "done: 1,000 rows; 990 posted, 0 replayed, 10 set aside",
    ]


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (PENDING, "not begun"),
        (RUNNING, ""),
        (replace(RUNNING, rows_last=250), "slowed to 250 rows a batch"),
        (replace(RUNNING, rows_last=500), ""),
        (replace(RUNNING, rows_last=250, batch_rows=250), ""),
        (replace(DONE, rows_last=250), ""),
        (replace(RUNNING, rows_last=250, next_batch_at=NOW + timedelta(seconds=4)), "rests 4 s: live work goes first"),
    ],
)  # fmt: skip
def test_the_throttle_is_told(run: Run, words: str) -> None:
    assert pace_words(run, NOW) == words
    assert details(run, NOW).endswith(words)


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (RUNNING, "390 posted, 0 replayed, 10 set aside"),
        (replace(RUNNING, dry_run=True), "390 would be posted, 0 replayed, 10 set aside"),
        (replace(RUNNING, kind="provider_events"), "390 accepted, 0 replayed, 10 set aside"),
        (RECALCULATED, "3 repaired, 0 set aside"),
        (replace(RECALCULATED, dry_run=True), "3 would be repaired, 0 set aside"),
    ],
)
def test_each_kind_has_its_words(run: Run, words: str) -> None:
    assert details(run, NOW) == words


def test_a_recalculation_speaks_of_accounts_and_repairs(capsys: pytest.CaptureFixture[str]) -> None:
    print_run(RECALCULATED, NOW, {})
    said = capsys.readouterr().out
    for words in (
        "3 accounts repaired",
        "397 accounts agree with their entries",
        "repaired amount",
        "0.21 EUR",
    ):
        assert words in said
    assert ("posted" in said, "stood already" in said, "rows" in said.replace("400 rows", "")) == (False,) * 3
    print_run(replace(RECALCULATED, dry_run=True), NOW, {})
    assert "3 accounts would be repaired" in capsys.readouterr().out


def test_rows_that_wait_are_told() -> None:
    assert "5 waiting" in details(replace(RUNNING, waiting=5), NOW)


@pytest.mark.parametrize(
    ("run", "code"),
    [
        (DONE, 1),
        (replace(DONE, quarantined=0), 0),
        (replace(DONE, dry_run=True), 1),
        (PENDING, 0),
        (RUNNING, 0),
        (RECALCULATED, 1),
        (replace(RECALCULATED, dry_run=True), 1),
        (replace(RECALCULATED, posted=0), 0),
        (replace(RECALCULATED, posted=0, quarantined=1), 1),
        (replace(RECALCULATED, state="paused"), 2),
        *((replace(DONE, state=state, quarantined=0), 2) for state in ("paused", "cancelled", "failed")),
    ],
)
def test_the_exit_code_is_the_contracts(run: Run, code: int) -> None:
    assert exit_code(run) == code


@pytest.mark.parametrize(
    ("run", "last"),
    [
        (RUNNING, "watch it: ledgerbeat backfill status 00000000-0000-0000-0000-000000000007 --watch"),
        (DONE, "done: every row that was read is accounted for"),
        (replace(DONE, dry_run=True, source_digest="d", posted=0, replayed=3),
         ("dry run: nothing was posted. The same command without --dry-run does it, with --force if the file was taken "
          "before")),
        (replace(DONE, dry_run=True), "dry run: nothing was posted. The same command without --dry-run does it"),
        (replace(PENDING, state="cancelled", last_error="it was taken before"),
         "cancelled, and nothing was posted; the last that it said: it was taken before"),
        (replace(RUNNING, state="cancelled", batches=1, last_error="x"), "cancelled; what it had posted stays"),
        (replace(RUNNING, state="cancelled"), "cancelled; what it had posted stays"),
        (replace(RUNNING, state="cancelled", dry_run=True), "cancelled; it was a dry run: nothing was posted"),
        (replace(RUNNING, state="paused", pause_code="asked", dry_run=True),
         f"or: ledgerbeat backfill cancel {PENDING.id} --reason ...; a dry run is in nobody's way"),
        (replace(RECALCULATED, dry_run=True),
         "dry run: nothing was repaired. The same command without --dry-run does it"),
        (RECALCULATED, "done: every account was held against its entries"),
        (replace(RECALCULATED, state="cancelled"), "cancelled; what it had repaired stays"),
        (replace(RUNNING, state="failed", last_error="no header"),
         f"to try it again as it is: {RESUME}"),
        (replace(RUNNING, state="paused", pause_code="cap_reached"),
         f"to go on: {RESUME} --max-amount-minor ..."),
    ],
)  # fmt: skip
def test_the_last_word_is_what_to_do(run: Run, last: str) -> None:
    words = [said for said, _ in verdict(run, {"open": run.quarantined})]
    assert words[-1] == last
    assert ("backfill quarantine" in words[0]) == bool(run.quarantined)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"type": "file", "path": "/srv/old.csv", "mapping": {}}, "/srv/old.csv"),
        ({"type": "file", "name": "history", "path": "/srv/old.csv"}, "source history"),
        ({"type": "sql", "name": "old"}, "source old"),
        ({"type": "wallets"}, "all accounts"),
        ({"type": "wallets", "owner": "ada"}, "the wallets of ada"),
        (
            {
                "type": "events",
                "provider": "stripe",
                "since": "2026-03-01T00:00:00+03:00",
                "until": "2026-03-08T09:59:05.597329+00:00",
            },
            "stripe's events from 2026-02-28T21:00:00Z to 2026-03-08T09:59:05Z",
        ),
    ],
)
def test_where_its_rows_come_from_is_said_in_words(source: dict[str, object], words: str) -> None:
    assert source_words(source) == words


@pytest.mark.parametrize(
    ("state", "said"), [("running", True), ("paused", True), ("done", False), ("cancelled", False)]
)
def test_nothing_is_still_to_come_of_a_run_that_has_ended(
    state: str, said: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    run = replace(RUNNING, state=state, pause_code="asked" if state == "paused" else None)
    print_list([run], NOW, {})
    assert ("ETA" in capsys.readouterr().out) is said


def test_only_rows_have_a_namespace(capsys: pytest.CaptureFixture[str]) -> None:
    print_run(RUNNING, NOW, {})
    print_run(RECALCULATED, NOW, {})
    assert capsys.readouterr().out.count(", namespace ") == 1


def test_a_stop_that_was_asked_for_is_seen() -> None:
    assert state_words(replace(RUNNING, stop_asked="cancel")) == "running, ends after this batch"
    assert state_words(replace(RUNNING, state="paused", pause_code="asked")) == "paused, asked"
