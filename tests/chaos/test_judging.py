"""The judge itself: what it must not let pass."""

from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.flood import BATCHES_MAX, Flood
from tests.chaos.mix import Mix
from tests.chaos.model import Books
from tests.chaos.outside import judge_jobs
from tests.chaos.senders import Promises
from tests.chaos.wanted import Told, Wanted

CREDIT = Wanted("one", "wallets.credit", "k1", {}, "http", balance_minor=5)
DEBIT = Wanted("one", "wallets.debit", "k2", {}, "sql", code="insufficient_funds", postings=0)
EVENT = Told("one", "adyen", "captured", "d1", 5)
STRANGER = Told("one", "sandbox", "refunded", "d2", 5, known=False)


def row(key: str, name: str, state: str, **others: Any) -> dict[str, Any]:
    made = {"tenant": "one", "origin": "app", "key": key, "id": f"id-{key}", "name": name, "state": state,
            "code": None, "balance_minor": None, "attempts": 1, "postings": 0}  # fmt: skip
    return made | others


ROWS = [
    row("k1", "wallets.credit", "done", postings=1, balance_minor=5),
    row("k2", "wallets.debit", "refused", code="insufficient_funds"),
    row("adyen:AUTHORISATION:PSPd1:true:abc", "webhooks.event", "done", origin="provider", postings=1),
    row("sandbox:evt_refunded_d2:abc", "webhooks.event", "parked", origin="provider"),
]


@pytest.fixture
def mix() -> Mix:
    return Mix([[CREDIT]], [[EVENT, STRANGER] * 3], [DEBIT], Books())


@pytest.fixture
def promises() -> Promises:
    made = Promises()
    made.keep(CREDIT, "id-k1")
    made.hear(EVENT, new=True)
    made.hear(EVENT, new=False)
    return made


def test_what_came_as_it_should_is_not_complained_about(mix: Mix, promises: Promises) -> None:
    assert judge_jobs(ROWS, mix, promises) == []


@pytest.mark.parametrize(
    ("position", "change", "complaint"),
    [
        (0, {"state": "queued"}, "state is 'queued', 'done' was expected"),
        (0, {"id": "another"}, "id is 'another', 'id-k1' was expected"),
        (0, {"postings": 2}, "postings is 2, 1 was expected"),
        (0, {"balance_minor": 6}, "balance_minor is 6, 5 was expected"),
        (1, {"state": "done", "code": None}, "state is 'done', 'refused' was expected"),
        (2, {"postings": 0}, "postings is 0, 1 was expected"),
        (3, {"state": "done"}, "state is 'done', 'parked' was expected"),
    ],
)
def test_another_end_than_the_expected_one_is_told(
    mix: Mix, promises: Promises, position: int, change: dict[str, Any], complaint: str
) -> None:
    rows = [{**one, **change} if number == position else one for number, one in enumerate(ROWS)]
    assert complaint in " ".join(judge_jobs(rows, mix, promises))


@pytest.mark.parametrize("position", range(len(ROWS)))
def test_a_job_that_is_missing_or_there_too_often_is_told(
    mix: Mix, promises: Promises, position: int
) -> None:
    without = judge_jobs([one for number, one in enumerate(ROWS) if number != position], mix, promises)
    assert any(fault.startswith("missing:") for fault in without)
    assert "3 jobs are there, 4 were sent" in without
    twice = judge_jobs([*ROWS, ROWS[position]], mix, promises)
    assert "5 jobs are there, 4 were sent" in twice


def test_an_event_that_is_news_twice_and_a_key_with_two_ids_are_told(mix: Mix, promises: Promises) -> None:
    promises.hear(EVENT, new=True)
    assert "was said to be new more than once" in " ".join(judge_jobs(ROWS, mix, promises))
    promises.keep(CREDIT, "another")
    assert promises.broken == ["one k1 was promised as id-k1, then as another"]


def test_a_flood_that_keeps_others_waiting_or_is_over_too_soon_is_told() -> None:
    fair = Flood(1000, 200, [0.0, 1.0, 0.5], unfinished=10)
    assert (fair.median, fair.worst, fair.wrong()) == (0.5, 1.0, [])
    assert len(replace(fair, batches=[0.0, BATCHES_MAX + 1]).wrong()) == 1
    assert len(replace(fair, unfinished=0).wrong()) == 1
