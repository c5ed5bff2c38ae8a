"""The same request again - told twice, drained twice, killed at any point, redriven, cancelled: one payout at most."""

from collections.abc import Iterator
from contextlib import suppress
from uuid import UUID

import pytest
from sqlalchemy import Engine

from models.jobs.repair import CANCELLABLE, REDRIVABLE, Selection, cancel, redrive
from ops.repair import carry_out, choose
from tests.factories import accept_jobs, job_request
from tests.integration.crashes.points import Died, Point, Trail, statements
from tests.integration.families.desk import Desk
from tests.integration.payouts.cashier import SIGNED, Cashier
from tests.integration.repair.lane import ORDER, breaking, bury, die, play
from worker.database import Transaction

STOOD = (
    "SELECT id, state, version, approved_by FROM payouts ORDER BY id",
    "SELECT payout_id, cause, from_state, to_state FROM payout_events ORDER BY id",
    "SELECT idempotency_key, kind FROM ledger_transactions ORDER BY id",
    "SELECT payout_id, released_at FROM limit_reservations ORDER BY payout_id",
    "SELECT action, subject FROM audit_events ORDER BY id",
)


def stood(desk: Desk) -> list[object]:
    """All that a job of a payout may leave."""
    return [desk.rows(query) for query in STOOD]


def again(cashier: Cashier) -> None:
    """Every finished job is drained once more, as if its end had been forgotten."""
    cashier.rows("UPDATE jobs SET state = 'queued', finished_at = NULL, result = NULL RETURNING id")
    cashier.drain()


def test_a_request_that_is_drained_again_has_one_payout_one_hold_and_one_reservation(
    cashier: Cashier,
) -> None:
    cashier.policy(daily_payout_limit_minor=1000)
    payout_id = cashier.opened(1000)
    before = stood(cashier)[:4]
    again(cashier)
    assert stood(cashier)[:4] == before
    assert cashier.outcome(payout_id) == {"state": "approved", "error": None, "payout_id": str(payout_id)}
    assert cashier.counted("payouts.request") == {
        ("accepted", ""): 1,
        ("done", ""): 1,
        ("done", "replayed"): 1,
    }


def test_a_replay_comes_before_every_rule(cashier: Cashier) -> None:
    """Whatever has changed since: the money, the limit, the policy, the provider."""
    payout_id = cashier.opened(1000)
    cashier.policy(daily_payout_limit_minor=0, kyc_required=True)
    cashier.rows("UPDATE provider_accounts SET enabled = false RETURNING provider")
    cashier.command("cancel", payout_id)
    cashier.rows(
        "UPDATE jobs SET state = 'queued', finished_at = NULL WHERE name = 'payouts.request' RETURNING id"
    )
    cashier.drain()
    assert cashier.outcome(payout_id) == {"state": "cancelled", "error": None, "payout_id": str(payout_id)}
    assert (cashier.wallet(), cashier.held(), cashier.reserved()) == (1000, 0, 0)


@pytest.mark.parametrize("name", ["approve", "reject", "cancel"])
def test_a_command_that_is_drained_again_is_a_replay_and_no_refusal(cashier: Cashier, name: str) -> None:
    cashier.policy(approval_threshold_minor=0)
    cashier.command(name, cashier.opened(100))
    before = stood(cashier)[:4]
    again(cashier)
    assert stood(cashier)[:4] == before
    assert cashier.counted(f"payouts.{name}")["done", "replayed"] == 1


def test_a_request_that_broke_is_redriven_and_has_its_effect_once(cashier: Cashier) -> None:
    [job_id] = cashier.hand_in("payouts.request", cashier.asking(100))
    die(cashier, breaking("payouts.request", "ada"))
    assert cashier.rows("SELECT * FROM payouts") == []
    choice = choose(cashier.transaction, Selection(("dead",), tenant="acme"), rows=10)
    assert carry_out(cashier.transaction, redrive, choice, ORDER, now=cashier.now) == {job_id}
    play(cashier)
    assert (cashier.state(job_id), cashier.held(), cashier.reserved()) == ("approved", 100, 100)


def test_a_request_that_took_effect_and_is_redriven_is_a_no_op(cashier: Cashier) -> None:
    cashier.opened(100)
    before = stood(cashier)[:4]
    bury(cashier)
    with cashier.transaction() as session:
        jobs = choose(cashier.transaction, Selection(REDRIVABLE, tenant="acme"), rows=10).jobs
        redrive(session, "acme", jobs, REDRIVABLE, ORDER, now=cashier.now)
    play(cashier)
    assert stood(cashier)[:4] == before


def test_a_cancelled_job_is_no_payout(cashier: Cashier) -> None:
    [job_id] = cashier.hand_in("payouts.request", cashier.asking(100))
    choice = choose(cashier.transaction, Selection(CANCELLABLE, ids=[job_id]), rows=10)
    assert carry_out(cashier.transaction, cancel, choice, ORDER, now=cashier.now) == {job_id}
    cashier.drain()
    assert cashier.rows("SELECT * FROM payouts") == []
    assert cashier.wallet() == 1000
    assert cashier.command("approve", job_id)["code"] == "unknown_payout"


@pytest.fixture
def lane(cashier: Cashier, transaction: Transaction) -> UUID:
    """A batch of requests that fit, lack money and pass the limit, and of commands. The payout they speak of."""
    cashier.policy(approval_threshold_minor=50, daily_payout_limit_minor=900)
    payout_id = cashier.opened(100)
    said = {"payout_id": str(payout_id), **SIGNED}
    asks = [
        ("payouts.request", cashier.asking(700)),
        ("payouts.request", cashier.asking(20, "bob")),
        ("payouts.approve", said),
        ("payouts.request", cashier.asking(800)),
        ("payouts.cancel", said),
        ("payouts.request", cashier.asking(200)),
    ]
    accept_jobs(transaction, [job_request(name, args) for name, args in asks], now=cashier.now)
    return payout_id


@pytest.fixture
def ending(lane: UUID, cashier: Cashier) -> Iterator[None]:
    """Whatever the test did, one drain more and the lane has ended as it must."""
    yield
    cashier.drain()
    assert cashier.state(lane) == "cancelled"
    assert (cashier.wallet(), cashier.held(), cashier.reserved()) == (100, 900, 900)
    told = cashier.rows("SELECT result ->> 'code' AS code FROM jobs WHERE tenant = 'acme' ORDER BY seq")
    assert [row["code"] for row in told][-6:] == [
        None, "insufficient_funds", None, "limit_exceeded", None, None,
    ]  # fmt: skip
    assert len(cashier.rows("SELECT * FROM payout_events")) == 5
    assert len(cashier.rows("SELECT * FROM audit_events WHERE action LIKE 'payouts.%'")) == 2


@pytest.mark.usefixtures("ending")
def test_a_drain_that_dies_at_any_point_leaves_nothing_or_all(cashier: Cashier, engine: Engine) -> None:
    """The points are those that a drain passes; a death at each of them, one after the other, in one lane."""
    for point in points_of_a_drain(cashier, engine):
        trail = Trail(point, die=raise_died)
        with statements(engine, trail.reach), suppress(Died):
            cashier.drain()


def raise_died() -> None:
    raise Died


def points_of_a_drain(cashier: Cashier, engine: Engine) -> list[Point]:
    """Watched in a drain that dies at its first commit, so that nothing of it remains."""
    trail = Trail(Point("before COMMIT", 1), die=raise_died)
    with statements(engine, trail.reach), pytest.raises(Died):
        cashier.drain()
    assert len(trail.points) > 40
    return [*trail.points, Point("after COMMIT", 1)]
