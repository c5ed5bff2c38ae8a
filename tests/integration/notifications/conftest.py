"""A tenant that is told, its receiver, a clock to turn, and an office that delivers."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import RowMapping, text

from models.notifications import News, announce
from models.tenants import sync_notified
from tasks.notifications.service import Turn, deliver, dispatch
from tests.integration.notifications.receiver import OLD_SECRET, SECRET, Receiver, receiving
from worker.database import Transaction
from worker.notifying import Endpoint, Sender


@dataclass
class Office:
    """Announces, dispatches and delivers at its own time: `now` stands still until it is moved."""

    transaction: Transaction
    now: datetime
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    timeout_seconds: float = 60.0

    def announce(self, *subjects: tuple[str, int], tenant: str = "acme", **data: Any) -> None:
        """One notification for each (subject, version), committed."""
        news = [
            News(tenant, "payout.moved", subject, version, data or {"of": subject})
            for subject, version in subjects
        ]
        with self.transaction() as session:
            announce(session, news, now=self.now)

    def dispatch(self) -> list[str]:
        return dispatch(self.transaction, self.endpoints, now=self.now)

    def deliver(self, tenant: str = "acme") -> Turn:
        sender = partial(Sender, timeout_seconds=self.timeout_seconds)
        return deliver(
            self.transaction, tenant, self.endpoints[tenant], clock=lambda: self.now, sender=sender
        )

    def tick(self) -> list[str]:
        """What Beat and the workers do in a second: the lanes that had their turn."""
        served = self.dispatch()
        for tenant in served:
            self.deliver(tenant)
        return served

    def after(self, seconds: float) -> list[str]:
        self.now += timedelta(seconds=seconds)
        return self.tick()

    def rows(self, *states: str) -> list[RowMapping]:
        query = "SELECT * FROM notifications WHERE :all OR state = ANY(:states) ORDER BY id"
        with self.transaction() as session:
            return list(session.execute(text(query), {"all": not states, "states": list(states)}).mappings())

    def lane(self, tenant: str = "acme") -> RowMapping:
        with self.transaction() as session:
            query = text("SELECT * FROM notification_lanes WHERE tenant = :tenant")
            return session.execute(query, {"tenant": tenant}).mappings().one()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def office(transaction: Transaction, tenant: str, receiver: Receiver, now: datetime) -> Office:
    """acme is told at the receiver, with two secrets; globex is not told."""
    with transaction() as session:
        sync_notified(session, [tenant])
    return Office(transaction, now, {tenant: Endpoint(receiver.url, (SECRET, OLD_SECRET))})
