"""Stories of one deposit as a provider tells them: signed by the vendor's library, verified, recorded and drained."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import pytest

from models.steps import run
from tests.integration.families.desk import Desk
from tests.unit.providers.shapes import (
    ADYEN_SECRET,
    STRIPE_SECRET,
    adyen_body,
    adyen_signed,
    encoded,
    stripe_headers,
)
from tests.unit.providers.vendors import Event
from worker.database import Transaction
from worker.http.recording import recording
from worker.http.webhooks import submission
from worker.providers.port import Capture
from worker.providers.registry import receive


@dataclass
class Story:
    """One deposit `order-1` of the owner `ada` and what its provider says of it."""

    desk: Desk
    provider: Literal["stripe", "adyen"]
    capture: Capture = "automatic"
    job_ids: list[Any] = field(default_factory=list)

    def expect(self, amount_minor: int = 10000, reference: str = "order-1") -> None:
        [answer] = self.desk.expect(reference, amount_minor=amount_minor, provider=self.provider)
        assert answer["state"] == "done"

    def hear(self, *events: Event, together: bool = False) -> None:
        """Each as a webhook of its own, drained one by one or `together`."""
        for event in events:
            self._deliver(event)
            if not together:
                self.desk.drain()
        self.desk.drain()

    def _deliver(self, event: Event) -> None:
        now = self.desk.now
        if self.provider == "stripe":
            body = encoded(event)
            headers, secret = stripe_headers(body, at=int(now.timestamp())), STRIPE_SECRET
        else:
            body, headers, secret = adyen_body(adyen_signed(event)), {}, ADYEN_SECRET
        received = receive(self.provider, [secret], headers, body, now, self.capture)
        with self.desk.transaction() as session:
            run(
                session,
                recording([submission(self.desk.tenant, self.provider, received, body, now)], now=now),
            )

    @property
    def wallet(self) -> int:
        return self.desk.wallet()

    @property
    def duplicate(self) -> int:
        return self.desk.balance("suspense:duplicate_capture")

    @property
    def shortfall(self) -> int:
        return self.desk.balance("suspense:shortfall")

    @property
    def state(self) -> str:
        state: str = self.desk.deposit("order-1", self.provider)["state"]
        return state

    def jobs(self, *states: str) -> list[dict[str, Any]]:
        return self.desk.rows(
            "SELECT args ->> 'type' AS type, state, last_error FROM jobs "
            "WHERE name = 'webhooks.event' AND state = ANY(CAST(:states AS text[]))",
            states=list(states),
        )

    def findings(self) -> dict[str, int]:
        rows = self.desk.rows("SELECT kind, amount_minor FROM reconciliation_findings WHERE state = 'open'")
        return {row["kind"]: row["amount_minor"] for row in rows}

    def settled(self) -> bool:
        """Nothing waits, nothing died."""
        return self.jobs("parked", "dead", "queued", "cooling") == []


@pytest.fixture
def desk(transaction: Transaction, tenant: str, now: datetime) -> Iterator[Desk]:
    desk = Desk(transaction, tenant, now)
    yield desk
    desk.check_books()


@pytest.fixture
def stripe(desk: Desk) -> Story:
    """The deposit is announced with 100.00 EUR."""
    story = Story(desk, "stripe")
    story.expect()
    return story


@pytest.fixture
def adyen(desk: Desk) -> Story:
    """The same at Adyen, captured with the authorisation."""
    story = Story(desk, "adyen")
    story.expect()
    return story


@pytest.fixture
def adyen_by_hand(desk: Desk) -> Story:
    """The same at Adyen, where each payment is captured on its own."""
    story = Story(desk, "adyen", "manual")
    story.expect()
    return story
