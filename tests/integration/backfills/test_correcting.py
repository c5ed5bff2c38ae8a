"""Rows that were set aside close when a later run brings them, and only then."""

import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.backfills.closing import correct
from models.backfills.runs import Run
from models.backfills.tables import QUARANTINE_STATES
from models.ledger.overdraft import follow_mode
from models.tenants import update_policy
from tasks.backfills import service
from tasks.backfills.correcting import close_corrected
from tasks.backfills.throttle import surroundings
from tests.integration.backfills.generated import Desks, Line, lines
from tests.integration.backfills.killing import live
from tests.integration.backfills.runs import BALANCES, HISTORY, NOON, Desk, line
from tests.integration.crashes.points import Point
from tests.waiting import until

AGAIN = {"options": {"force": True}}


def fed(desk: Desk, *rows: Line, name: str = "rest.csv", **more: Any) -> Run:
    """Whether the same was fed before or not."""
    return desk.run(desk.file(rows, name), **AGAIN | more)


def opened(desk: Desk, *balances: tuple[str, Any], name: str = "balances.csv", **more: Any) -> Run:
    rows = [line("", owner, amount) for owner, amount in balances]
    return desk.run(desk.file(rows, name), BALANCES, kind="opening_balances", **AGAIN | more)


def states(desk: Desk, run: Run | UUID) -> dict[str, str]:
    """Of every row that the run has set aside, by its place."""
    run_id = run if isinstance(run, UUID) else run.id
    return {row.place: row.state for row in desk.set_aside(run_id, *QUARANTINE_STATES)}


def test_the_corrected_row_closes_the_one_that_was_set_aside(desk: Desk) -> None:
    first = fed(desk, line("1", "ada", 10), line("2", "ada", 0), line("3", "bob", -5), name="history.csv")
    assert states(desk, first) == {"3": "open", "4": "open"}
    desk.clock.forward(60)
    second = fed(desk, line("2", "ada", 7))
    assert states(desk, first) == {"3": "corrected", "4": "open"}
    [closed] = desk.set_aside(first.id, "corrected")
    assert (closed.closed_by, closed.closed_at, closed.closed_reason) == (
        f"backfill:{second.id}", desk.clock.now, None,
    )  # fmt: skip
    fed(desk, line("4", "bob", 5), line("3", "bob", -5), name="more.csv")
    assert states(desk, first) == {"3": "corrected", "4": "corrected"}
    assert desk.look(first.id).quarantined == 2


def test_every_earlier_run_that_set_it_aside_is_closed(desk: Desk) -> None:
    bad = line("2", "ada", 0)
    runs = [fed(desk, bad, line(str(9 + n), "ada", 1), name=f"{n}.csv") for n in range(3)]
    fed(desk, line("2", "ada", 7))
    assert [states(desk, run) for run in runs] == [{"2": "corrected"}] * 3


def test_a_row_that_stood_already_closes_it_too(desk: Desk) -> None:
    good, garbled = line("2", "ada", 7), line("2", "ada", 0)
    fed(desk, good, name="history.csv")
    second = fed(desk, garbled, name="garbled.csv")
    third = fed(desk, good)
    assert (third.replayed, states(desk, second)) == (1, {"2": "corrected"})
    fourth = fed(desk, garbled, name="again.csv")
    fed(desk, good, name="history.csv")
    assert states(desk, fourth) == {"2": "corrected"}


def test_a_row_that_is_set_aside_again_closes_nothing(desk: Desk) -> None:
    unpaid = line("1", "ada", -10)
    first, second = fed(desk, unpaid), fed(desk, unpaid, line("2", "ada", 1), name="again.csv")
    assert (states(desk, first), states(desk, second)) == ({"2": "open"}, {"2": "open"})


def test_what_stands_closes_no_conflict(desk: Desk) -> None:
    stands, other = line("1", "ada", 10), line("1", "ada", 11)
    fed(desk, stands, name="history.csv")
    second = fed(desk, other, name="other.csv")
    assert desk.codes(second.id) == {"2": "conflict"}
    assert fed(desk, stands, name="history.csv").replayed == 1
    assert fed(desk, stands).replayed == 1
    assert fed(desk, other, name="other.csv").quarantined == 1
    assert states(desk, second) == {"2": "open"}


def test_a_row_that_waited_and_found_another_content_in_its_place_stays(desk: Desk) -> None:
    """Its second look says so: it is a conflict then."""
    first = desk.start(desk.file([line("1", "ada", -10)], "history.csv"))
    desk.batch(first)
    assert states(desk, first) == {"2": "waiting"}
    fed(desk, line("1", "bob", 5))
    desk.work(first)
    fed(desk, line("1", "bob", 5), name="again.csv")
    assert (desk.codes(first), states(desk, first)) == ({"2": "conflict"}, {"2": "open"})


def test_a_row_that_waits_is_left_to_its_own_run(desk: Desk) -> None:
    first = desk.start(desk.file([line("1", "ada", -10), line("0", "ada", 0)], "history.csv"))
    desk.batch(first)
    fed(desk, line("0", "ada", 10), line("1", "ada", -10))
    assert states(desk, first) == {"2": "waiting", "3": "corrected"}
    ended = desk.work(first)
    assert (ended.replayed, ended.waiting) == (1, 0)
    assert states(desk, first) == {"2": "posted", "3": "corrected"}


def test_the_second_look_of_another_run_closes(desk: Desk) -> None:
    first = fed(desk, line("1", "ada", -10), name="history.csv")
    second = fed(desk, line("1", "ada", -10), line("0", "ada", 10), batch_rows=1)
    assert states(desk, second) == {"2": "posted"}
    assert states(desk, first) == {"2": "corrected"}


def test_a_run_closes_none_of_its_own(desk: Desk) -> None:
    """Two rows of one id in one source: which of them is right, nobody has said."""
    rows = [line("1", "ada", 0), line("1", "ada", 5), line("1", "ada", 0)]
    for batch_rows in (1, 3):
        run = fed(desk, *rows, name=f"{batch_rows}.csv", batch_rows=batch_rows)
        assert states(desk, run) == {"2": "open", "4": "open"}


def test_a_dry_run_closes_nothing_and_its_rows_are_owed_to_nobody(desk: Desk) -> None:
    garbled, good = line("2", "ada", 0), line("2", "ada", 7)
    dry = fed(desk, garbled, dry_run=True)
    first = fed(desk, garbled, name="history.csv")
    assert fed(desk, good, dry_run=True).posted == 1
    assert states(desk, first) == {"2": "open"}
    fed(desk, good)
    assert (states(desk, first), states(desk, dry)) == ({"2": "corrected"}, {"2": "open"})


def test_a_row_beyond_the_cap_closes_nothing_until_it_is_posted(desk: Desk) -> None:
    first = fed(desk, line("1", "ada", 0), line("2", "ada", 0), name="history.csv")
    second = fed(desk, line("1", "ada", 10), line("2", "ada", 10), max_amount_minor=15)
    assert (second.pause_code, states(desk, first)) == ("cap_reached", {"2": "corrected", "3": "open"})
    desk.do(service.resume, second.id, max_amount_minor=20)
    desk.work(second.id)
    assert states(desk, first) == {"2": "corrected", "3": "corrected"}


def test_other_namespaces_kinds_and_tenants_close_nothing(desk: Desk, desks: Desks) -> None:
    garbled, good = line("2", "ada", 0), line("2", "ada", 7)
    first = fed(desk, garbled, name="history.csv")
    fed(desk, good, mapping={**HISTORY, "namespace": "poker"})
    with desks() as other:
        theirs = fed(other, garbled)
        fed(other, good, name="good.csv")
        assert states(other, theirs) == {"2": "corrected"}
    unpaid = fed(desk, line("bob:EUR", "ada", 0), name="c.csv")
    opened(desk, ("bob", 5))
    assert (states(desk, first), states(desk, unpaid)) == ({"2": "open"}, {"2": "open"})


def test_an_opening_balance_closes_by_its_owner_and_currency(desk: Desk) -> None:
    first = opened(desk, ("ada", "x"), ("bob", "y"), ("cy", "z"))
    opened(desk, ("ada", 5), ("bob", 0), name="rest.csv")
    assert states(desk, first) == {"2": "corrected", "3": "corrected", "4": "open"}
    assert [row.row_id for row in desk.set_aside(first.id, "corrected")] == ["ada:EUR", "bob:EUR"]


def test_a_balance_that_was_refused_closes_when_its_difference_is_posted(desk: Desk) -> None:
    fed(desk, line("1", "ada", 10), line("2", "bob", 10), name="history.csv")
    first = opened(desk, ("ada", 12), ("bob", 10))
    assert desk.codes(first.id) == {"2": "already_moved", "3": "already_moved"}
    mended = opened(
        desk, ("ada", 12), ("bob", 10), name="rest.csv", options={"existing": "difference", "force": True}
    )
    assert (mended.posted, mended.unchanged) == (1, 1)
    assert states(desk, first) == {"2": "corrected", "3": "corrected"}


def test_what_cannot_be_read_at_all_waits_for_a_person(desk: Desk) -> None:
    path = desk.file([line("1", "ada", 0), line("", "ada", 1)], "history.csv")
    with path.open("ab") as file:
        file.write(b"4,\xff,,5,EUR,2025-01-01T10:00:00Z\n5,ada\n")
    first = desk.run(path)
    assert [row.row_id for row in desk.set_aside(first.id)] == ["1", None, None, None]
    fed(desk, *(line(row_id, "ada", 5) for row_id in "14567"))
    assert states(desk, first) == {"2": "corrected", "3": "open", "4": "open", "5": "open"}


def test_in_shadow_a_row_that_nobody_paid_for_is_posted_and_closed(desk: Desk) -> None:
    first = fed(desk, line("1", "ada", -10), name="history.csv")
    with desk.transaction() as session:
        update_policy(session, "acme", {"ledger_mode": "shadow"})
        follow_mode(session, "acme", shadow=True)
    fed(desk, line("1", "ada", -10), name="history.csv")
    assert states(desk, first) == {"2": "corrected"}


def test_two_runs_at_once_close_each_row_once(desk: Desk) -> None:
    rows = [line(str(number), f"o-{number % 3}", 0) for number in range(60)]
    first = fed(desk, *rows, name="history.csv")
    good = [(row[0], row[1], row[2], 5, *row[4:]) for row in rows]
    files = desk.file(good, "one.csv"), desk.file(good[::-1], "two.csv")
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda path: desk.run(path, batch_rows=7), files))
    assert sum(run.posted for run in runs) == sum(run.replayed for run in runs) == 60
    assert set(states(desk, first).values()) == {"corrected"}
    assert {row.closed_by for row in desk.set_aside(first.id, "corrected")} <= {
        f"backfill:{run.id}" for run in runs
    }
    assert desk.broken() == []


@pytest.mark.parametrize("commits", [True, False])
def test_who_comes_second_closes_what_the_first_has_not(desk: Desk, commits: bool) -> None:
    """The first has the rows, and is not at its end: the second waits, and looks at what became of them."""
    first = fed(desk, line("1", "ada", 0), name="history.csv")
    before = fed(desk, line("9", "ada", 1), name="before.csv")
    with ThreadPoolExecutor(1) as pool, desk.transaction() as session:
        assert correct(session, [first.id], ["1"], by=before, now=NOON) == 1
        later = pool.submit(fed, desk, line("1", "ada", 5))
        until(lambda: _somebody_waits(desk), what="the second run to wait for the row")
        session.commit() if commits else session.rollback()
        second = later.result()
    [closed] = desk.set_aside(first.id, "corrected")
    assert closed.closed_by == f"backfill:{(before if commits else second).id}"


def _somebody_waits(desk: Desk) -> bool:
    with desk.transaction() as session:
        return surroundings(session, NOON).waiting > 0


def test_a_death_before_the_commit_closes_nothing(desks: Desks, database_url: str) -> None:
    """Right after the rows were closed, and when the whole batch is written, before it is there for good."""

    def begun(desk: Desk) -> tuple[Run, UUID]:
        first = fed(desk, line("1", "ada", 0), line("2", "ada", 0), name="history.csv")
        return first, desk.start(desk.file([line("1", "ada", 5), line("2", "ada", 5)]))

    with desks() as sound:
        points, _ = live(sound, database_url, begun(sound)[1])
    [closing] = [number for number, point in enumerate(points) if _closes(point, "after")]
    told = next(
        n
        for n, one in enumerate(points)
        if n > closing and one.label.startswith("after UPDATE backfills SET phase")
    )
    ends = next(point for point in points[told:] if point.label == "before COMMIT")
    assert _closes(points[closing - 1], "before")
    for point in (points[closing], ends):
        with desks() as desk:
            first, run_id = begun(desk)
            assert live(desk, database_url, run_id, point)[1] == -signal.SIGKILL
            assert (states(desk, first), desk.balance("ada")) == ({"2": "open", "3": "open"}, 0)
            desk.clock.forward(61)
            desk.work(run_id)
            assert (set(states(desk, first).values()), desk.balance("ada")) == ({"corrected"}, 10)


def _closes(point: Point, when: str) -> bool:
    return point.label.startswith(f"{when} WITH these AS MATERIALIZED")


def test_where_nothing_is_open_no_row_is_looked_at(desk: Desk) -> None:
    """Nor where conflicts alone are, or rows without an id, or those of dry runs."""

    def asked() -> list[str]:
        raise AssertionError("somebody asked for the ids of the rows")

    fed(desk, line("1", "ada", 5), name="history.csv")
    fed(desk, line("1", "ada", 6), line("", "ada", 6))
    fed(desk, line("2", "ada", 0), dry_run=True)
    last = fed(desk, line("3", "ada", 1), name="last.csv")
    with desk.transaction() as session:
        close_corrected(session, last, asked, NOON)
    fed(desk, line("4", "ada", 0), name="open.csv")
    with desk.transaction() as session, pytest.raises(AssertionError, match="asked for the ids"):
        close_corrected(session, last, asked, NOON)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.lists(lines(8, ids=5), min_size=2, max_size=4), batch_rows=st.integers(1, 9))
def test_whatever_is_fed_closes_what_it_brings_and_nothing_else(
    desks: Desks, files: list[list[Line]], batch_rows: int
) -> None:
    with desks() as desk:
        runs: list[Run] = []
        for number, rows in enumerate(files):
            before = [_as_they_stand(desk, run) for run in runs]
            run = fed(desk, *rows, name=f"{number}.csv", batch_rows=batch_rows)
            brought = _brought(desk, run, rows)
            assert [states(desk, one) for one in runs] == [dict(_closed(one, brought)) for one in before]
            runs.append(run)


def _as_they_stand(desk: Desk, run: Run) -> list[tuple[str, str, str, str | None]]:
    return [
        (row.place, row.state, row.code, row.row_id) for row in desk.set_aside(run.id, *QUARANTINE_STATES)
    ]


def _brought(desk: Desk, run: Run, rows: list[Line]) -> set[str]:
    left = set(desk.codes(run.id))
    return {row[0] for place, row in enumerate(rows, 2) if str(place) not in left}


def _closed(rows: list[tuple[str, str, str, str | None]], brought: set[str]) -> list[tuple[str, str]]:
    return [
        (place, "corrected" if state == "open" and code != "conflict" and row_id in brought else state)
        for place, state, code, row_id in rows
    ]
