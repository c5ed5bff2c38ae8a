"""The cashiers of two tenants, each with an account at the sandbox; the books hold whatever a test did."""

from collections.abc import Iterator
from datetime import datetime

import pytest
from sqlalchemy import text

from tests.integration.payouts.cashier import Cashier
from worker.database import Transaction

ACCOUNTS = text("""
    INSERT INTO provider_accounts (tenant, provider, adapter, enabled) VALUES
        ('acme', 'sandbox', 'sandbox', true), ('acme', 'stripe', 'stripe', true), ('acme', 'gone', 'sandbox', false),
        ('globex', 'sandbox', 'sandbox', true)
""")


@pytest.fixture
def accounts(transaction: Transaction, tenant: str) -> None:
    """acme has `sandbox` and `stripe`, and no longer `gone`; globex has `sandbox`."""
    with transaction() as session:
        session.execute(ACCOUNTS)


@pytest.fixture
def cashier(transaction: Transaction, tenant: str, accounts: None, now: datetime) -> Iterator[Cashier]:
    """The cashier of "acme" (Europe/Istanbul); "ada" has 1,000."""
    cashier = Cashier(transaction, tenant, now)
    cashier.fund("ada", 1000)
    yield cashier
    cashier.check_books()


@pytest.fixture
def other_cashier(cashier: Cashier) -> Cashier:
    """The cashier of "globex" (UTC), in the same database; "ada" has 1,000 there too."""
    other = Cashier(cashier.transaction, "globex", cashier.now)
    other.fund("ada", 1000)
    return other
