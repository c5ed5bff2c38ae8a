"""A batch of mixed jobs is applied in few runs, and ends exactly as in the order of acceptance."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from sqlalchemy import Engine

from models.jobs.accept import JobRequest
from tasks.intake.batch import drain_batch
from tasks.intake.port import Routing
from tasks.intake.routing import ROUTING
from tests.factories import accept_jobs, credit_args, job_request
from tests.integration.families.desk import Desk, counting_statements
from worker.database import Transaction
from worker.providers.port import ProviderEvent

JOBS = 160
PAID = 6
"""So many deposits are captured beforehand: a refund that waits for its capture takes effect when it is woken."""
OWNERS = [f"owner-{number}" for number in range(12)]
KINDS = {"credit": 30, "debit": 40, "transfer": 30, "award": 5, "expect": 10, "captured": 20, "refunded": 20,
         "policy": 1}  # fmt: skip
"""How often each comes; a policy touches everything, and many of them would leave nothing to pass."""


def told(move: Any, reference: str, amount_minor: int, part: str) -> ProviderEvent:
    key, payment = f"{part}:{move}", f"pay-{reference}"
    return ProviderEvent(
        key, f"deposit.{move}", move, reference, payment, part, amount_minor, "EUR", None, None
    )


def as_args(event: ProviderEvent) -> dict[str, Any]:
    return {**event.as_args(), "provider": "sandbox"}


def expectation(reference: str, owner: str) -> dict[str, Any]:
    return {
        "provider": "sandbox",
        "reference": reference,
        "owner": owner,
        "amount_minor": 90,
        "currency": "EUR",
    }


def mixed_args(kind: str, number: int, chance: Random) -> tuple[str, dict[str, Any]]:
    """Name and arguments of one job."""
    owner, other = chance.sample(OWNERS, 2)
    amount, reference = chance.randint(1, 90), f"order-{chance.randint(1, len(OWNERS) + 6)}"
    match kind:
        case "credit" | "debit":
            return f"wallets.{kind}", credit_args(owner, amount)
        case "transfer":
            sides = {"from_owner": owner, "to_owner": other, "amount_minor": amount}
            return "wallets.transfer", {**sides, "currency": "EUR", "reason": "gift"}
        case "award":
            prizes = [{"owner": one, "placement": 1, "amount_minor": amount} for one in (owner, other)]
            return "wallets.award", {
                "event": f"cup-{number}",
                "awards": prizes,
                "currency": "EUR",
                "reason": "prize",
            }
        case "expect":
            return "deposits.expect", expectation(reference, owner)
        case "captured":
            return "webhooks.event", as_args(told("captured", reference, 90, f"{reference}-paid"))
        case "refunded":
            paid = f"order-{chance.randint(1, PAID)}"
            return "webhooks.event", as_args(told("refunded", paid, 30, f"{paid}-back-{number % 3}"))
        case _:
            limit = chance.choice([None, 90, 500])
            return "policies.set", {"daily_deposit_limit_minor": limit, "actor": "ops", "reason": "as asked"}


def mixed(tenant: str, seed: int) -> list[JobRequest]:
    """Wallet jobs that often lack funds, deposits announced early and late, captures, refunds, a policy or two."""
    chance = Random(seed)  # noqa: S311 - repeats, guards nothing
    requests = []
    for number, kind in enumerate(chance.choices(list(KINDS), list(KINDS.values()), k=JOBS)):
        name, args = mixed_args(kind, number, chance)
        origin = "provider" if name == "webhooks.event" else "app"
        requests.append(job_request(name, args, key=f"job-{number}", tenant=tenant, origin=origin))
    return requests


IN_ORDER: Routing = {name: replace(route, touching=None) for name, route in ROUTING.items()}
"""Every job touches everything, so that none passes another."""


def drained(transaction: Transaction, desk: Desk, routing: Routing = ROUTING) -> None:
    while drain_batch(transaction, desk.tenant, limit=JOBS, now=desk.now, routing=routing).claimed:
        pass


WALLETS = (
    "SELECT owner, currency, available_minor, held_minor FROM wallets WHERE tenant = :tenant ORDER BY 1, 2"
)
OUTCOMES = """
    SELECT idempotency_key, state, result ->> 'code' AS code, result ->> 'balance_minor' AS balance, last_error
    FROM jobs WHERE tenant = :tenant AND idempotency_key LIKE 'job-%' ORDER BY seq
"""
DEPOSITS = """
    SELECT reference, owner, state, captured_minor, refunded_minor FROM deposits WHERE tenant = :tenant ORDER BY 1
"""


@pytest.mark.parametrize("seed", range(4))
def test_a_mixed_batch_ends_as_in_the_order_of_acceptance(
    desk: Desk, other_desk: Desk, transaction: Transaction, seed: int
) -> None:
    for one in (desk, other_desk):
        one.do("deposits.expect", *(expectation(f"order-{n}", owner) for n, owner in enumerate(OWNERS, 1)))
        one.hear(*(told("captured", f"order-{n}", 90, f"order-{n}-paid") for n in range(1, PAID + 1)))
    for one in (desk, other_desk):
        accept_jobs(transaction, mixed(one.tenant, seed), now=one.now)
    drained(transaction, desk)
    drained(transaction, other_desk, IN_ORDER)
    for query in (OUTCOMES, WALLETS, DEPOSITS):
        assert desk.rows(query) == other_desk.rows(query)
    assert {"done", "refused", "parked"} <= {row["state"] for row in desk.rows(OUTCOMES)}


def test_alternating_names_of_different_owners_cost_few_statements(
    desk: Desk, other_desk: Desk, transaction: Transaction, engine: Engine
) -> None:
    names = ["wallets.credit", "wallets.debit"]
    for tenant in (desk.tenant, other_desk.tenant):
        jobs = [
            job_request(names[number % 2], credit_args(f"owner-{number}"), key=str(number), tenant=tenant)
            for number in range(100)
        ]
        accept_jobs(transaction, jobs, now=desk.now)
    with counting_statements(engine) as sent:
        drained(transaction, desk)
    with counting_statements(engine) as sent_in_order:
        drained(transaction, other_desk, IN_ORDER)
    assert 5 * len(sent) < len(sent_in_order)
