"""A run that is killed between any two statements runs again as if it were the first time."""

import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from tasks.reconciliation.service import RunReport
from tests.integration.crashes.points import Died, Point, Trail, statements
from tests.integration.reconciliation.books import Books, record
from worker.providers.records.port import BadRow

BAD = BadRow(7, "rec_9;;deposit", "no amount")


@contextmanager
def dying(engine: Engine, point: Point | None) -> Iterator[Trail]:
    def die() -> None:
        raise Died

    trail = Trail(point, die)
    with statements(engine, trail.reach), warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the dead close nothing
        yield trail
        gc.collect()


def night(books: Books) -> RunReport:
    told = [record("r", 500, fee_minor=17), record("s", 70), record("t", 5, fee_minor=1)]
    told += [
        record(None, -90, "own_transfer", record_id="out"),
        record(None, 7, "ignore", record_id="carried"),
    ]
    return books.run(*told, BAD)


def test_killed_anywhere_and_run_again_it_is_one_run(books: Books, engine: Engine) -> None:
    """One night per point: the process dies there, and another takes over once the claim has run out."""
    for provider in ("first", "watched"):  # the first opens the house's account
        other = replace(books, provider=provider)
        other.moved("r", 500)
        with dying(engine, None) as trail:
            assert night(other).findings == {"missing_in_ledger": 2}
    assert len(trail.points) > 40
    for number, point in enumerate(trail.points):
        again = replace(books, provider=f"p{number}")
        again.moved("r", 500)
        with dying(engine, point), pytest.raises(Died):
            night(again)
        report = night(again.later(minutes=12))
        assert report.state == "done", point
        assert report.findings == {"missing_in_ledger": 2}, point
        rows = again.rows(
            "SELECT state, times_seen FROM reconciliation_findings WHERE provider = :p", p=again.provider
        )
        assert {row["state"] for row in rows} == {"open"}
        assert len(rows) == 2
        fees = again.rows(
            "SELECT count(*) AS n FROM ledger_transactions WHERE subject LIKE :s", s=f"fee:{again.provider}:%"
        )
        assert fees == [{"n": 2}]
        assert again.balance(f"bank:{again.provider}") == -90, point
