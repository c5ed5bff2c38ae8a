"""A desk that hears of payouts: brings them into a state, tells what the provider says of them, looks what stands."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from models.jobs.claim import wake_due
from models.payouts.payout import attempt_reference
from tests.integration.families.desk import Desk
from tests.integration.payouts.histories import Histories
from tests.unit.payouts.event_facts import event
from worker.providers.port import PayoutMove, ProviderEvent

AMOUNT = 500


@dataclass
class EventDesk(Desk):
    """`histories` makes the payouts, of 500 each, owned by ada."""

    histories: Histories

    def payout_in(self, *ways: str, owner: str = "ada") -> UUID:
        """A payout that went these ways: methods of Histories, or `not_sent`."""
        self.histories.fund(owner, AMOUNT)
        payout_id = self.histories.request(owner, AMOUNT)
        for way in ways:
            if way == "not_sent":
                self._not_sent(payout_id)
            else:
                getattr(self.histories, way)(payout_id)
        self.now = max(self.now, self.histories.now)
        return payout_id

    def _not_sent(self, payout_id: UUID) -> None:
        """Throttled: nothing happened at the provider, and the same key is used again."""
        self.histories.step(payout_id, "cooling", "answer", attempt_no=1, next_attempt_at=self.now)
        self.histories.attempt_is(payout_id, "not_sent", "throttled")

    def told(
        self, payout_id: UUID, move: PayoutMove, sequence: int | None = None, number: int = 1, **others: Any
    ) -> ProviderEvent:
        """An event about an attempt of the payout."""
        plain = event(move, sequence, reference=attempt_reference(payout_id, number), amount_minor=AMOUNT)
        return replace(plain, **({"object_id": f"po_{payout_id.hex[-6:]}"} | others))

    def later(self, seconds: float = 61) -> None:
        """What is parked and due by then is tried again."""
        self.now += timedelta(seconds=seconds)
        with self.transaction() as session:
            wake_due(session, now=self.now, limit=1000)
        self.drain()

    def payout(self, payout_id: UUID) -> dict[str, Any]:
        [row] = self.rows("SELECT * FROM payouts WHERE id = :id", id=payout_id)
        return row

    def state(self, payout_id: UUID) -> str:
        return str(self.payout(payout_id)["state"])

    def attempts(self, payout_id: UUID) -> list[str]:
        rows = self.rows(
            "SELECT outcome FROM payout_attempts WHERE payout_id = :id ORDER BY attempt_no", id=payout_id
        )
        return [row["outcome"] for row in rows]

    def ledger(self, payout_id: UUID) -> list[str]:
        """The kinds of its transactions, in order."""
        rows = self.rows(
            "SELECT kind FROM ledger_transactions WHERE subject = :subject ORDER BY id",
            subject=f"hold:{payout_id}",
        )
        return [row["kind"] for row in rows]

    def findings(self, payout_id: UUID) -> list[str]:
        rows = self.rows(
            "SELECT kind FROM reconciliation_findings WHERE tenant = :tenant AND subject = :subject ORDER BY 1",
            subject=f"payout:{payout_id}",
        )
        return [row["kind"] for row in rows]

    def notes(self, payout_id: UUID) -> list[str]:
        """Why events of it were ignored, in order."""
        rows = self.rows(
            "SELECT code FROM payout_events WHERE payout_id = :id AND to_state IS NULL ORDER BY id",
            id=payout_id,
        )
        return [row["code"] for row in rows]

    def told_upstream(self, payout_id: UUID) -> list[str]:
        rows = self.rows(
            "SELECT type FROM notifications WHERE subject = :subject ORDER BY version",
            subject=f"payout:{payout_id}",
        )
        return [row["type"] for row in rows]
