"""A tenant's desk that pays out: ask for payouts, bring them into any state by real moves, look at what stands."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from models.payouts.moving import Move, move
from models.payouts.payout import Payout, attempt_key, attempt_reference
from models.payouts.rows import lock_payouts
from models.payouts.states import State
from tests.factories import credit_args
from tests.integration.families.desk import Desk

# An attempt as its sender would have left it.
INSERT_ATTEMPT = text("""
    INSERT INTO payout_attempts (payout_id, attempt_no, tenant, provider, provider_key, reference, claim_version,
        outcome, error_code, started_at, first_used_at, key_valid_until, finished_at)
    VALUES (:payout_id, :attempt_no, :tenant, 'sandbox', :key, :reference, 1, :outcome, :error_code, :now, :now,
        :valid_until, CASE WHEN :outcome NOT IN ('sending', 'not_sent', 'in_doubt') THEN CAST(:now AS timestamptz) END)
""")

SIGNED = {"actor": "ops:dana", "reason": "as agreed"}


@dataclass
class Cashier(Desk):
    """`now` is the business time of everything it does."""

    def fund(self, owner: str, amount_minor: int, currency: str = "EUR") -> None:
        [outcome] = self.do("wallets.credit", credit_args(owner, amount_minor, currency=currency))
        assert outcome["state"] == "done"

    def policy(self, **changes: Any) -> None:
        [outcome] = self.do("policies.set", {**changes, **SIGNED})
        assert outcome["state"] == "done"

    def asking(self, amount_minor: int = 100, owner: str = "ada", **others: Any) -> dict[str, Any]:
        """The arguments of a request."""
        return {
            "owner": owner,
            "amount_minor": amount_minor,
            "currency": "EUR",
            "provider": "sandbox",
            "destination": "ba_ada",
            "requested_by": "app:cashier",
            **others,
        }

    def request(self, *amounts: int, **others: Any) -> list[dict[str, Any]]:
        """One payout per amount, handed in together."""
        return self.do("payouts.request", *(self.asking(amount, **others) for amount in amounts))

    def opened(self, amount_minor: int = 100, **others: Any) -> UUID:
        """The id of a new payout."""
        [outcome] = self.request(amount_minor, **others)
        assert outcome["state"] in ("approved", "awaiting_approval"), outcome
        return UUID(outcome["payout_id"])

    def command(self, name: str, payout_id: UUID | str, **others: Any) -> dict[str, Any]:
        """`payouts.<name>` by ops:dana; its outcome."""
        [outcome] = self.do(f"payouts.{name}", {"payout_id": str(payout_id), **SIGNED, **others})
        return outcome

    def moved(self, payout_id: UUID, *changes: Mapping[str, Any]) -> Payout:
        """By real moves, one per mapping of changed fields."""
        with self.transaction() as session:
            payout = lock_payouts(session, self.tenant, [payout_id])[payout_id]
            for change in changes:
                [payout] = move(session, [Move(payout, replace(payout, **change), "test")], now=self.now)
        return payout

    def sent(self, payout_id: UUID, *further: Mapping[str, Any]) -> Payout:
        """Claimed, and then moved further."""
        sending = {
            "state": "sending",
            "next_attempt_at": None,
            "claimed_until": self.now + timedelta(seconds=40),
            "claim_version": 1,
        }
        return self.moved(payout_id, sending, *further)

    def cooling(self, payout_id: UUID, seconds: int = 300, attempts_made: int = 1) -> Payout:
        """Declined just now."""
        until = self.now + timedelta(seconds=seconds)
        return self.sent(payout_id, cooled(until) | {"attempts_made": attempts_made})

    def in_doubt(self, payout_id: UUID) -> Payout:
        """Sent, and nobody knows."""
        self.attempt(payout_id, "in_doubt")
        return self.sent(payout_id, doubted(self))

    def attempt(
        self, payout_id: UUID, outcome: str, attempt_no: int = 1, error_code: str | None = None
    ) -> None:
        values = {
            "payout_id": payout_id,
            "attempt_no": attempt_no,
            "tenant": self.tenant,
            "key": attempt_key(payout_id, attempt_no),
            "reference": attempt_reference(payout_id, attempt_no),
            "outcome": outcome,
            "error_code": error_code,
            "now": self.now,
            "valid_until": self.now + timedelta(hours=24),
        }
        with self.transaction() as session:
            session.execute(INSERT_ATTEMPT, values)

    def payout(self, payout_id: UUID) -> dict[str, Any]:
        [row] = self.rows("SELECT * FROM payouts WHERE id = :id", id=payout_id)
        return row

    def state(self, payout_id: UUID) -> str:
        return str(self.payout(payout_id)["state"])

    def events(self, payout_id: UUID) -> list[tuple[str, str | None, str | None]]:
        """(cause, from, to) of its history."""
        rows = self.rows(
            "SELECT cause, from_state, to_state FROM payout_events WHERE payout_id = :id ORDER BY id",
            id=payout_id,
        )
        return [(row["cause"], row["from_state"], row["to_state"]) for row in rows]

    def held(self, owner: str = "ada", currency: str = "EUR") -> int:
        return self.balance(f"wallet:{owner}:held", currency)

    def reserved(self, owner: str = "ada") -> int:
        """What counts for the owner's limits, of any day."""
        [row] = self.rows(
            "SELECT coalesce(sum(amount_minor), 0)::bigint AS total FROM limit_reservations "
            "WHERE tenant = :tenant AND owner = :owner AND released_at IS NULL",
            owner=owner,
        )
        return int(row["total"])


def cooled(until: Any) -> dict[str, Any]:
    """What a retryable decline changes."""
    return {"state": "cooling", "claimed_until": None, "next_attempt_at": until, "cooldown_until": until}


def doubted(cashier: Cashier) -> dict[str, Any]:
    """What an answer that proves nothing changes."""
    soon = cashier.now + timedelta(seconds=30)
    return {
        "state": "in_doubt",
        "claimed_until": None,
        "in_doubt_since": cashier.now,
        "next_lookup_at": soon,
        "attempts_made": 1,
    }


def ended(state: State, code: str | None = None) -> dict[str, Any]:
    """What a final answer changes."""
    return {"state": state, "claimed_until": None, "failure_code": code}
