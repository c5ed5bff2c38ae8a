"""The desks of two tenants, whose books must hold whatever a test did."""

from collections.abc import Iterator
from datetime import datetime

import pytest

from tests.integration.families.desk import Desk
from worker.database import Transaction


@pytest.fixture
def desk(transaction: Transaction, tenant: str, now: datetime) -> Iterator[Desk]:
    """The desk of "acme" (Europe/Istanbul)."""
    desk = Desk(transaction, tenant, now)
    yield desk
    desk.check_books()


@pytest.fixture
def other_desk(desk: Desk) -> Desk:
    """The desk of "globex" (UTC), in the same database."""
    return Desk(desk.transaction, "globex", desk.now)
