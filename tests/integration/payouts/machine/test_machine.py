"""The payout machine against a provider at the port that does everything a provider may do, and keeps the truth."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from itertools import count

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import text

from models.tenants import sync_tenants
from ops.embedded.ports import free_port
from tasks.payouts.hands import Hands
from tests.integration.payouts.cashier import Cashier
from tests.integration.payouts.machine.desk import OneAccount, Payday, account_at
from tests.integration.payouts.machine.machine import PayoutMachine
from tests.integration.payouts.machine.psp import BEHAVIOURS, RULES, Psp
from worker.database import Transaction
from worker.locks import PayoutLocks

EXAMPLES = int(os.environ.get("LEDGERBEAT_TEST_EXAMPLES", "25"))
STEPS = 40
TENANTS = [f"payer-{number}" for number in range(2000)]
ACCOUNTS = text("""
    INSERT INTO provider_accounts (tenant, provider, adapter, max_in_flight)
    SELECT unnest(CAST(:tenants AS text[])), 'sandbox', 'sandbox', 4
""")


@pytest.fixture
def locks() -> Iterator[PayoutLocks]:
    """Redis is away, so that everybody has every lock: money must be safe without."""
    locks = PayoutLocks(f"redis://127.0.0.1:{free_port()}/0")
    yield locks
    locks.close()


@pytest.fixture
def begin(
    transaction: Transaction, tenant: str, locks: PayoutLocks, now: datetime
) -> Callable[[ExitStack], Payday]:
    """Opens the desk of the next tenant, whose days begin in Istanbul, beside a provider of its own."""
    with transaction() as session:
        sync_tenants(session, dict.fromkeys(TENANTS, "Europe/Istanbul"))
        session.execute(ACCOUNTS, {"tenants": TENANTS})
    numbers = count()

    def opened(_: ExitStack) -> Payday:
        desk = Cashier(transaction, TENANTS[next(numbers)], now)
        psp = Psp(now)
        account = account_at(psp, RULES)
        payday = Payday(desk, psp, account, None)  # type: ignore[arg-type] # made of it, below
        payday.hands = Hands(
            transaction,
            OneAccount(account),
            locks,
            lambda task, payout_id: payday.messages.append((task, payout_id)),
            clock=lambda: desk.now,
            ticks=lambda: desk.now.timestamp(),  # noqa: PLW0108 - of the `now` at that moment
            sleep=lambda _seconds: None,
            chance=lambda: 0.0,
        )
        return payday

    return opened


def run(begin: Callable[[ExitStack], Payday], examples: int = EXAMPLES) -> None:
    run_state_machine_as_test(
        partial(PayoutMachine, begin, BEHAVIOURS),  # type: ignore[arg-type] # a factory will do, as its own docs say
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize="CI" in os.environ,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_money_leaves_once_whatever_happens(begin: Callable[[ExitStack], Payday]) -> None:
    run(begin)
