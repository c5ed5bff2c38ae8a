"""Daily payout limits: the tenant's local day, released on proof only, never overshot by two at once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import pytest
from freezegun import freeze_time

from models.jobs.claim import Job
from models.jobs.outcomes import Done, Outcome
from models.limits import Asked, OverLimit, release_reservations, reserve, resets_at
from models.tenants import Policy, Tenant, load_tenant, sync_tenants
from tasks.intake.port import Work
from tasks.payouts.admission import apply_requests
from tests.integration.payouts.cashier import Cashier, doubted, ended
from tests.waiting import until
from worker.catalogue import PayoutRequest
from worker.database import Transaction

WAITING = """
    SELECT count(*) AS waiting FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE NOT l.granted AND a.datname = current_database()
"""


def code(outcome: dict[str, Any]) -> str:
    return str(outcome.get("code") or outcome["state"])


def test_a_refusal_says_the_limit_what_is_left_and_when_it_resets(cashier: Cashier) -> None:
    cashier.policy(daily_payout_limit_minor=500)
    cashier.request(300)
    [refused] = cashier.request(201)
    assert refused == {
        "state": "refused",
        "error": None,
        "code": "limit_exceeded",
        "limit": "daily_payout_limit_minor",
        "limit_minor": 500,
        "left_minor": 200,
        "resets_at": "2026-03-14T21:00:00+00:00",
    }
    assert code(cashier.request(200)[0]) == "approved"
    assert cashier.reserved() == 500


def test_a_limit_is_per_owner_and_currency_and_tenant(cashier: Cashier, other_cashier: Cashier) -> None:
    cashier.policy(daily_payout_limit_minor=500)
    cashier.fund("bob", 500)
    cashier.fund("ada", 500, "USD")
    asked = [{}, {"owner": "bob"}, {"currency": "USD"}]
    assert [code(cashier.request(500, **one)[0]) for one in asked] == ["approved"] * 3
    assert [code(cashier.request(1, **one)[0]) for one in asked] == ["limit_exceeded"] * 3
    assert code(other_cashier.request(1000)[0]) == "approved"


def test_what_was_paid_out_before_a_limit_was_set_counts(cashier: Cashier) -> None:
    cashier.request(400)
    cashier.policy(daily_payout_limit_minor=500)
    [refused] = cashier.request(101)
    assert refused["left_minor"] == 100
    cashier.policy(daily_payout_limit_minor=300)
    [refused] = cashier.request(1)
    assert refused["left_minor"] == 0
    cashier.policy(daily_payout_limit_minor=None)
    assert code(cashier.request(101)[0]) == "approved"


def test_a_limit_of_nothing_refuses_everything(cashier: Cashier) -> None:
    cashier.policy(daily_payout_limit_minor=0)
    assert code(cashier.request(1)[0]) == "limit_exceeded"


# The day, and the UTC instants at which it begins and ends, by the zone's rules.
DAYS = [
    ("Europe/Istanbul", "2026-03-14", "2026-03-13T21:00", "2026-03-14T21:00"),
    ("Europe/Istanbul", "2016-03-27", "2016-03-26T22:00", "2016-03-27T21:00"),  # the last spring change there
    ("America/New_York", "2026-03-08", "2026-03-08T05:00", "2026-03-09T04:00"),  # 23 hours
    ("America/New_York", "2026-11-01", "2026-11-01T04:00", "2026-11-02T05:00"),  # 25 hours
    ("Australia/Lord_Howe", "2026-04-05", "2026-04-04T13:00", "2026-04-05T13:30"),  # 24 and a half
    ("Australia/Lord_Howe", "2026-10-04", "2026-10-03T13:30", "2026-10-04T13:00"),  # 23 and a half
]


@pytest.mark.parametrize(("timezone", "day", "begins", "ends"), DAYS)
def test_a_limit_holds_for_the_tenants_day_to_the_second(
    cashier: Cashier, timezone: str, day: str, begins: str, ends: str
) -> None:
    with cashier.transaction() as session:
        sync_tenants(session, {"acme": timezone})
    first, end = (datetime.fromisoformat(one).replace(tzinfo=UTC) for one in (begins, ends))
    cashier.policy(daily_payout_limit_minor=100)
    told = []
    for moment in (first - timedelta(seconds=1), first, end - timedelta(seconds=1), end):
        with freeze_time(moment):
            cashier.now = datetime.now(UTC)
            told.append(cashier.request(100)[0])
    assert [code(one) for one in told] == ["approved", "approved", "limit_exceeded", "approved"]
    assert told[2]["resets_at"] == end.isoformat()
    days = cashier.rows("SELECT business_date FROM limit_reservations ORDER BY business_date")
    assert str(days[1]["business_date"]) == day


@pytest.mark.parametrize(("timezone", "day", "begins", "ends"), DAYS)
def test_the_reset_is_the_end_of_the_day_at_any_moment_of_it(
    timezone: str, day: str, begins: str, ends: str
) -> None:
    tenant = Tenant("acme", timezone, Policy())
    now, end = (datetime.fromisoformat(one).replace(tzinfo=UTC) for one in (begins, ends))
    while now < end:
        assert (str(tenant.business_date(now)), resets_at(tenant, now)) == (day, end)
        now += timedelta(minutes=15)
    assert str(tenant.business_date(end)) > day


def test_the_time_handed_in_decides_and_not_the_clock_of_the_machine(cashier: Cashier) -> None:
    cashier.policy(daily_payout_limit_minor=100)
    cashier.request(100)
    with freeze_time("2031-01-01", tick=True):
        assert code(cashier.request(1)[0]) == "limit_exceeded"


RETURNED = {"state": "returned", "failure_code": "bounced"}


@pytest.mark.parametrize(
    ("further", "attempt", "reserved"),
    [
        ([], "sending", 100),
        ([ended("submitted")], "submitted", 100),
        ([ended("paid")], "paid", 100),
        ([ended("failed", "no_account")], "declined", 0),
        ([ended("paid"), RETURNED], "returned", 0),
        ([ended("submitted"), ended("failed", "no_account")], "failed", 0),
    ],
)
def test_what_counts_is_released_only_when_the_money_is_proven_not_to_leave(
    cashier: Cashier, further: list[dict[str, Any]], attempt: str, reserved: int
) -> None:
    cashier.policy(daily_payout_limit_minor=100)
    payout_id = cashier.opened(100)
    cashier.attempt(payout_id, attempt)
    cashier.sent(payout_id, *further)
    assert cashier.reserved() == reserved
    assert code(cashier.request(100)[0]) == ("limit_exceeded" if reserved else "approved")


def test_what_is_in_doubt_or_cools_counts(cashier: Cashier) -> None:
    cashier.policy(daily_payout_limit_minor=200)
    doubtful, cooling = cashier.opened(100), cashier.opened(100)
    cashier.attempt(doubtful, "in_doubt")
    cashier.sent(doubtful, doubted(cashier))
    cashier.attempt(cooling, "declined")
    cashier.cooling(cooling)
    assert cashier.reserved() == 200
    assert cashier.request(1)[0]["left_minor"] == 0


def test_what_comes_back_the_next_day_is_given_back_to_the_day_it_was_taken_from(cashier: Cashier) -> None:
    cashier.policy(daily_payout_limit_minor=100)
    payout_id = cashier.opened(100)
    cashier.now += timedelta(days=1)
    cashier.request(60)
    cashier.command("cancel", payout_id)
    assert cashier.reserved() == 60
    assert code(cashier.request(41)[0]) == "limit_exceeded"


def test_what_waits_for_approval_past_midnight_counts_for_its_own_day(cashier: Cashier) -> None:
    """Once admitted it stays payable: approval asks for no limit again."""
    cashier.policy(daily_payout_limit_minor=100, approval_threshold_minor=0)
    payout_id = cashier.opened(100)
    cashier.now += timedelta(days=1)
    cashier.request(100)
    assert cashier.command("approve", payout_id)["state"] == "approved"


def work_of(tenant: str, number: int, amount_minor: int, owner: str = "ada") -> Work[PayoutRequest]:
    now = datetime(2026, 3, 14, tzinfo=UTC)
    job = Job(uuid4(), number, tenant, "payouts.request", "app", f"key-{number}", {}, 0, now, None)
    args = PayoutRequest(
        owner=owner, amount_minor=amount_minor, currency="EUR", provider="sandbox", destination="ba",
        requested_by="app",
    )  # fmt: skip
    return Work(job, args)


def test_two_batches_at_once_cannot_overshoot(cashier: Cashier) -> None:
    """The lane keeps them apart already; the handler does not rely on it."""
    cashier.policy(daily_payout_limit_minor=500)
    together = Barrier(8)

    def run(number: int) -> list[Outcome]:
        batch = [work_of("acme", 10 * number + one, 90) for one in range(3)]
        with cashier.transaction() as session:
            together.wait(60)
            return apply_requests(session, batch, tenant=load_tenant(session, "acme"), now=cashier.now)

    with ThreadPoolExecutor(8) as pool:
        outcomes = [one for answers in pool.map(run, range(8)) for one in answers]
    assert sum(isinstance(one, Done) for one in outcomes) == 5
    assert cashier.reserved() == cashier.held() == 450


def test_the_second_batch_waits_for_the_first_and_sees_what_it_took(cashier: Cashier) -> None:
    cashier.policy(daily_payout_limit_minor=500)

    def run() -> list[OverLimit | None]:
        with cashier.transaction() as session:
            tenant = load_tenant(session, "acme")
            return reserve(session, tenant, [Asked(uuid4(), "ada", "EUR", 300)], now=cashier.now)

    with ThreadPoolExecutor(1) as pool, cashier.transaction() as session:
        tenant = load_tenant(session, "acme")
        assert reserve(session, tenant, [Asked(uuid4(), "ada", "EUR", 300)], now=cashier.now) == [None]
        second = pool.submit(run)
        until(lambda: second.done() or cashier.rows(WAITING)[0]["waiting"], what="a second batch that waits")
        assert not second.done()
        session.commit()
        [refused] = second.result(120)
    assert refused is not None
    assert refused.left_minor == 200
    cashier.rows("UPDATE limit_reservations SET released_at = now() RETURNING payout_id")


@pytest.fixture
def acme(transaction: Transaction, tenant: str) -> Tenant:
    return Tenant(tenant, "UTC", Policy(daily_payout_limit_minor=100))


def test_reserving_twice_takes_once_and_releasing_twice_gives_back_once(
    transaction: Transaction, acme: Tenant, now: datetime
) -> None:
    asked = Asked(UUID(int=7), "ada", "EUR", 60)
    with transaction() as session:
        assert reserve(session, acme, [asked], now=now) == [None]
        assert reserve(session, acme, [asked], now=now) == [None]
        assert isinstance(
            reserve(session, acme, [Asked(UUID(int=8), "ada", "EUR", 41)], now=now)[0], OverLimit
        )
        release_reservations(session, [asked.payout_id], now=now)
        release_reservations(session, [asked.payout_id], now=now + timedelta(hours=1))
        assert reserve(session, acme, [Asked(UUID(int=8), "ada", "EUR", 100)], now=now) == [None]
        assert reserve(session, acme, [], now=now) == []
        release_reservations(session, [], now=now)


def test_reserving_goes_in_order_and_lets_the_smaller_pass(
    transaction: Transaction, acme: Tenant, now: datetime
) -> None:
    asked = [Asked(UUID(int=number), "ada", "EUR", amount) for number, amount in enumerate((70, 40, 30, 1))]
    with transaction() as session:
        answers = reserve(session, acme, asked, now=now)
    assert [answer and answer.left_minor for answer in answers] == [None, 30, None, 0]
