"""deposits.expect: announced once, within the daily limit, and whoever came too early is woken."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from freezegun import freeze_time
from sqlalchemy import Engine

from models.jobs.claim import Job
from models.jobs.outcomes import Outcome
from models.tenants import load_tenant, sync_tenants
from tasks.deposits.service import expect_deposits
from tasks.intake.port import Work
from tests.integration.families.desk import Desk, counting_statements
from tests.unit.families.events import event
from worker.catalogue import DepositExpect


def limit(desk: Desk, minor: int | None) -> None:
    desk.do("policies.set", {"daily_deposit_limit_minor": minor, "actor": "ops:dana", "reason": "agreed"})


def test_the_same_announcement_again_is_a_duplicate(desk: Desk) -> None:
    [first] = desk.expect("r1")
    [again] = desk.expect("r1")
    assert (first["state"], again["state"]) == ("done", "done")
    assert desk.counted("deposits.expect") == {("accepted", ""): 2, ("done", ""): 1, ("done", "duplicate"): 1}
    assert desk.deposit("r1")["state"] == "expected"


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        ({"owner": "ben"}, ["owner"]),
        ({"amount_minor": 99}, ["amount_minor"]),
        ({"currency": "USD"}, ["currency"]),
    ],
)
def test_another_deposit_of_the_same_reference_is_refused(
    desk: Desk, other: dict[str, Any], differs: list[str]
) -> None:
    desk.expect("r1")
    [refused] = desk.expect("r1", **other)
    assert refused == {"state": "refused", "error": None, "code": "reference_conflict", "differs": differs}


def test_one_reference_at_two_providers_or_of_two_tenants_is_two_deposits(
    desk: Desk, other_desk: Desk
) -> None:
    answers = [
        *desk.expect("r1"),
        *desk.expect("r1", provider="stripe"),
        *other_desk.expect("r1", owner="eve"),
    ]
    assert [one["state"] for one in answers] == ["done"] * 3
    assert desk.deposit("r1")["owner"] == "ada"
    assert other_desk.deposit("r1")["owner"] == "eve"


def test_the_limit_counts_per_owner_and_currency_in_the_order_of_the_batch(desk: Desk) -> None:
    limit(desk, 250)
    answers = desk.expect("r1", "r2", "r3", "r1")
    assert [one["state"] for one in answers] == ["done", "done", "refused", "done"]
    assert {
        name: answers[2][name] for name in ("code", "limit", "limit_minor", "left_minor", "resets_at")
    } == {
        "code": "limit_exceeded",
        "limit": "daily_deposit_limit_minor",
        "limit_minor": 250,
        "left_minor": 50,
        "resets_at": "2026-03-14T21:00:00+00:00",
    }
    assert desk.expect("r4", amount_minor=50)[0]["state"] == "done"
    assert desk.expect("r5", amount_minor=1)[0]["left_minor"] == 0
    assert desk.expect("r6", owner="ben")[0]["state"] == "done"
    assert desk.expect("r7", currency="USD")[0]["state"] == "done"


def test_a_failed_deposit_gives_its_share_of_the_limit_back(desk: Desk) -> None:
    limit(desk, 100)
    desk.expect("ref-1")
    assert desk.expect("r2")[0]["state"] == "refused"
    desk.hear(event("failed"))
    assert desk.expect("r2")[0]["state"] == "done"


def test_what_was_captured_counts_where_it_is_more_than_was_announced(desk: Desk) -> None:
    desk.expect("ref-1")
    desk.hear(event("captured", 180, "cap-1"))
    limit(desk, 200)
    assert desk.expect("r2", amount_minor=21)[0]["left_minor"] == 20


def test_a_new_local_day_has_a_new_limit(desk: Desk) -> None:
    limit(desk, 100)
    desk.now = datetime(2026, 3, 14, 20, 59, tzinfo=UTC)  # 23:59 in Istanbul
    assert desk.expect("r1")[0]["state"] == "done"
    assert desk.expect("r2")[0]["state"] == "refused"
    desk.now += timedelta(minutes=1)
    assert desk.expect("r2")[0]["state"] == "done"


@pytest.mark.parametrize(("month", "day", "hours"), [(3, 29, 23), (10, 25, 25)])
def test_the_day_the_clocks_change_is_one_business_day(desk: Desk, month: int, day: int, hours: int) -> None:
    with desk.transaction() as session:
        sync_tenants(session, {"acme": "Europe/Paris"})
    limit(desk, 100)
    begins = datetime(2026, month, day, tzinfo=UTC) - timedelta(hours=1 if month == 3 else 2)
    desk.now = begins
    assert desk.expect("r1")[0]["state"] == "done"
    desk.now = begins + timedelta(hours=hours, seconds=-1)
    [refused] = desk.expect("r2")
    assert refused["resets_at"] == (begins + timedelta(hours=hours)).isoformat()
    desk.now += timedelta(seconds=1)
    assert desk.expect("r2")[0]["state"] == "done"


def test_the_time_handed_in_decides_and_not_the_clock_of_the_machine(desk: Desk) -> None:
    limit(desk, 100)
    desk.expect("r1")
    with freeze_time("2031-01-01", tick=True):
        assert desk.expect("r2")[0]["state"] == "refused"


def test_two_at_once_cannot_both_take_what_is_left(desk: Desk) -> None:
    """The lane keeps them apart already; the handler does not rely on it."""
    limit(desk, 100)
    jobs = [Work(_job(desk, number), _expect(number)) for number in range(8)]

    def run(work: Work[DepositExpect]) -> list[Outcome]:
        with desk.transaction() as session:
            return expect_deposits(session, [work], tenant=load_tenant(session, "acme"), now=desk.now)

    with ThreadPoolExecutor(8) as pool:
        outcomes = [outcome for answers in pool.map(run, jobs) for outcome in answers]
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Done"] + ["Refused"] * 7


def test_what_came_before_its_deposit_is_woken_also_within_one_batch(desk: Desk) -> None:
    [early] = desk.tell(event("captured", 100, "cap-1"))
    desk.hand_in("deposits.expect", _expect(1, reference="ref-1").model_dump())
    desk.drain()
    assert desk.outcome(early)["state"] == "done"
    assert desk.wallet("o1") == 100


@pytest.mark.parametrize("limited", [None, 10**9])
def test_announcing_costs_the_same_statements_for_1_and_200(
    desk: Desk, engine: Engine, limited: int | None
) -> None:
    limit(desk, limited)
    sent = []
    for numbers in (range(1), range(1, 201)):
        desk.hand_in("deposits.expect", *(_expect(number).model_dump() for number in numbers))
        with counting_statements(engine) as statements:
            desk.drain()
        sent.append(len(statements))
    assert sent[0] == sent[1]


def _expect(number: int, reference: str | None = None) -> DepositExpect:
    owner = f"o{number}" if reference or number > 8 else "ada"
    amount = 100 if reference else 60
    return DepositExpect(
        provider="sandbox",
        reference=reference or f"r{number}",
        owner=owner,
        amount_minor=amount,
        currency="EUR",
    )


def _job(desk: Desk, number: int) -> Job:
    [job_id] = desk.hand_in("deposits.expect", _expect(number).model_dump())
    [row] = desk.rows(
        "SELECT id, seq, tenant, name, origin, idempotency_key, args, attempts, accepted_at, delivery_id"
        " FROM jobs WHERE id = :id",
        id=job_id,
    )
    return Job(**row)
