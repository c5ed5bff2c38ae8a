"""The payout machine against a provider at the port that does everything a provider may do, and keeps the truth."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import datetime
from functools import partial

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import text

from models.tenants import sync_tenants
from ops.embedded.ports import free_port
from ops.sandbox.config import SandboxConfig
from tests.integration.payouts.attempting import settings_of
from tests.integration.payouts.cashier import Cashier
from tests.integration.payouts.machine import at_sandbox
from tests.integration.payouts.machine.desk import OneOfMany, Payday, open_payday
from tests.integration.payouts.machine.machine import PayoutMachine
from tests.integration.payouts.machine.psp import BEHAVIOURS, RULES, Psp
from tests.integration.sandbox.running import API_KEY, running_sandbox
from worker.database import Transaction
from worker.locks import PayoutLocks
from worker.providers.payouts.accounts import PayoutAccount, PayoutAccounts

EXAMPLES = int(os.environ.get("LEDGERBEAT_TEST_EXAMPLES", "25"))
STEPS = 40
TIMEOUT_SECONDS = 10.0
TENANTS = [f"payer-{number}" for number in range(2000)]
NEIGHBOURS = [f"{name}-next" for name in TENANTS]
ACCOUNTS = text("""
    INSERT INTO provider_accounts (tenant, provider, adapter, max_in_flight)
    SELECT unnest(CAST(:tenants AS text[])), 'sandbox', 'sandbox', 4
""")

Begin = Callable[[ExitStack], Payday]


@pytest.fixture
def locks() -> Iterator[PayoutLocks]:
    """Redis is away, so that everybody has every lock: money must be safe without."""
    locks = PayoutLocks(f"redis://127.0.0.1:{free_port()}/0")
    yield locks
    locks.close()


@pytest.fixture
def desks(transaction: Transaction, tenant: str, now: datetime) -> Iterator[Cashier]:
    """One tenant after the other, whose days begin in Istanbul."""
    with transaction() as session:
        sync_tenants(session, dict.fromkeys((*TENANTS, *NEIGHBOURS), "Europe/Istanbul"))
        session.execute(ACCOUNTS, {"tenants": [*TENANTS, *NEIGHBOURS]})
    return (OneOfMany(transaction, name, now) for name in TENANTS)


@pytest.fixture
def begin(desks: Iterator[Cashier], locks: PayoutLocks) -> Begin:
    """Opens the next desk beside a provider of its own."""

    def opened(_: ExitStack) -> Payday:
        desk = next(desks)
        psp = Psp(desk.now)
        return open_payday(desk, psp, PayoutAccount(psp, RULES, TIMEOUT_SECONDS), locks)

    return opened


@pytest.fixture
def begin_at_sandbox(desks: Iterator[Cashier], locks: PayoutLocks) -> Begin:
    """The same beside a real sandbox over HTTP, called by the product's adapter, which shows payouts late."""
    config = SandboxConfig(api_key=API_KEY, settle_seconds=None, hang_seconds=0.01, visibility_seconds=10)

    def opened(stack: ExitStack) -> Payday:
        desk, sandbox = next(desks), stack.enter_context(running_sandbox(config))
        accounts = stack.enter_context(
            closing(PayoutAccounts(settings_of(str(sandbox.base_url), [desk.tenant])))
        )
        account = accounts.find(desk.tenant, "sandbox")
        assert account is not None
        world = at_sandbox.AtSandbox(sandbox, account.provider, desk.now)
        stack.callback(world.check_truth)
        return open_payday(desk, world, replace(account, provider=world), locks)

    return opened


def run(begin: Begin, behaviours: Sequence[str] = BEHAVIOURS, *, examples: int = EXAMPLES) -> None:
    run_state_machine_as_test(
        partial(PayoutMachine, begin, behaviours),  # type: ignore[arg-type] # a factory will do, as its own docs say
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


def test_money_leaves_once_whatever_happens(begin: Begin) -> None:
    run(begin)


def test_money_leaves_once_from_a_provider_over_http(begin_at_sandbox: Begin) -> None:
    run(begin_at_sandbox, at_sandbox.BEHAVIOURS, examples=max(EXAMPLES // 5, 1))
