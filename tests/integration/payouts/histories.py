"""Payouts in every state, brought there by the functions that the product uses, without a provider.

The rows are what dispatch and webhooks leave behind; tests then look at them, or break them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from models.ledger.holds import place
from models.ledger.outcomes import Created
from models.ledger.posting import post
from models.limits import Asked, reserve
from models.payouts.moving import Move, move
from models.payouts.opening import Opening, open_payouts
from models.payouts.payout import Payout, attempt_key, attempt_reference
from models.payouts.rows import lock_payouts
from models.provider_accounts import AccountTerms, sync_accounts
from models.tenants import load_tenant
from tests.factories import accept_jobs, job_request
from tests.integration.ledger.postings import credit, posted
from worker.database import Transaction

ATTEMPT = text("""
    INSERT INTO payout_attempts (payout_id, attempt_no, tenant, provider, provider_key, reference, claim_version,
        outcome, error_code, object_id, started_at, first_used_at, key_valid_until, finished_at)
    VALUES (:payout_id, :attempt_no, :tenant, 'sandbox', :key, :reference, :claim_version, :outcome, :error_code,
        :object_id, :at, :at, :valid, :finished)
""")
OUTCOME = text("""
    UPDATE payout_attempts SET outcome = :outcome, error_code = :error_code, finished_at = :finished,
        object_id = :object_id
    WHERE payout_id = :payout_id AND attempt_no = (SELECT max(attempt_no) FROM payout_attempts
        WHERE payout_id = :payout_id)
""")
LIVE_WITHOUT_END = ("sending", "not_sent", "in_doubt")
REQUEST_DONE = text(
    "UPDATE jobs SET state = 'done', finished_at = :now, result = CAST(:result AS jsonb) WHERE id = :id"
)


@dataclass
class Histories:
    """Makes payouts of ada's at noon, each step a second after the one before."""

    transaction: Transaction
    now: datetime
    tenant: str = "acme"
    destination: str = "ba_1"

    def fund(self, owner: str = "ada", amount_minor: int = 100_000) -> None:
        posted(self.transaction, credit(owner, amount_minor, f"fund:{uuid4().hex}", tenant=self.tenant))

    def account(self, provider: str = "sandbox", **terms: Any) -> None:
        with self.transaction() as session:
            sync_accounts(session, [AccountTerms(self.tenant, provider, "sandbox", **terms)])

    def request(self, owner: str = "ada", amount_minor: int = 500, *, waits: bool = False) -> UUID:
        """An admitted payout: `approved`, or `awaiting_approval` when it waits."""
        args = {"owner": owner, "amount_minor": amount_minor, "currency": "EUR", "provider": "sandbox",
                "destination": self.destination, "requested_by": "shop"}  # fmt: skip
        [payout_id] = accept_jobs(
            self.transaction, [job_request("payouts.request", args, tenant=self.tenant)], now=self.now
        )
        with self.transaction() as session:
            tenant = load_tenant(session, self.tenant)
            assert reserve(session, tenant, [Asked(payout_id, owner, "EUR", amount_minor)], now=self.now) == [
                None
            ]
            payout = Payout(
                id=payout_id, tenant=self.tenant, owner=owner, amount_minor=amount_minor, currency="EUR",
                provider="sandbox", destination=self.destination, state="awaiting_approval" if waits else "approved",
                requested_by="shop", business_date=tenant.business_date(self.now), requested_at=self.now,
                next_attempt_at=None if waits else self.now,
            )  # fmt: skip
            [placed] = post(
                session, [place(payout.hold, occurred_at=self.now, job_id=payout_id)], now=self.now
            )
            assert isinstance(placed, Created)
            open_payouts(session, [Opening(payout, placed.transaction_id)], now=self.now)
            result = f'{{"payout_id": "{payout_id}", "state": "{payout.state}"}}'
            session.execute(REQUEST_DONE, {"id": payout_id, "now": self.now, "result": result})
        return payout_id

    def step(self, payout_id: UUID, state: str, cause: str, **changes: Any) -> Payout:
        """One move, a second later."""
        self.now += timedelta(seconds=1)
        about = {name: changes.pop(name) for name in ABOUT if name in changes}
        blank = {
            "next_attempt_at": None,
            "claimed_until": None,
            "in_doubt_since": None,
            "next_lookup_at": None,
        }
        with self.transaction() as session:
            payout = lock_payouts(session, self.tenant, [payout_id])[payout_id]
            after = replace(payout, **(blank | {"state": state} | changes))
            [moved] = move(session, [Move(payout, after, cause, **about)], now=self.now)
        return moved

    def claim(self, payout_id: UUID, attempt_no: int = 1) -> None:
        payout = self.step(
            payout_id, "sending", "claimed", attempt_no=attempt_no, claim_version=attempt_no,
            claimed_until=self.now + timedelta(seconds=41),
        )  # fmt: skip
        values = {
            "payout_id": payout_id, "attempt_no": attempt_no, "tenant": self.tenant,
            "key": attempt_key(payout_id, attempt_no), "reference": attempt_reference(payout_id, attempt_no),
            "claim_version": payout.claim_version, "outcome": "sending", "error_code": None, "object_id": None,
            "at": self.now, "valid": self.now + timedelta(hours=24), "finished": None,
        }  # fmt: skip
        with self.transaction() as session:
            session.execute(ATTEMPT, values)

    def attempt_is(
        self, payout_id: UUID, outcome: str, code: str | None = None, object_id: str | None = None
    ) -> None:
        finished = None if outcome in LIVE_WITHOUT_END else self.now
        values = {"payout_id": payout_id, "outcome": outcome, "error_code": code, "finished": finished,
                  "object_id": object_id}  # fmt: skip
        with self.transaction() as session:
            session.execute(OUTCOME, values)

    def approve(self, payout_id: UUID) -> None:
        self.step(
            payout_id,
            "approved",
            "approved",
            actor="boss",
            reason="checked",
            approved_by="boss",
            next_attempt_at=self.now,
        )

    def decline(self, payout_id: UUID, attempt_no: int = 1) -> None:
        """Declined, retryable: it cools down."""
        until = self.now + timedelta(minutes=5)
        self.step(
            payout_id, "cooling", "answer", attempt_no=attempt_no, code="bank_busy", attempts_made=attempt_no,
            next_attempt_at=until, cooldown_until=until,
        )  # fmt: skip
        self.attempt_is(payout_id, "declined", "bank_busy")

    def submit(self, payout_id: UUID, attempt_no: int = 1) -> None:
        object_id = f"po_{payout_id.hex[-6:]}"
        self.step(
            payout_id,
            "submitted",
            "answer",
            attempt_no=attempt_no,
            attempts_made=attempt_no,
            provider_reference=object_id,
        )
        self.attempt_is(payout_id, "submitted", object_id=object_id)

    def doubt(self, payout_id: UUID, attempt_no: int = 1) -> None:
        self.step(
            payout_id, "in_doubt", "answer", attempt_no=attempt_no, code="timeout", attempts_made=attempt_no,
            in_doubt_since=self.now, next_lookup_at=self.now + timedelta(seconds=30),
        )  # fmt: skip
        self.attempt_is(payout_id, "in_doubt", "timeout")

    def pay(self, payout_id: UUID, job_id: UUID | None = None) -> None:
        self.step(payout_id, "paid", "webhook", attempt_no=1, job_id=job_id, sequence=2)
        self.attempt_is(payout_id, "paid", object_id=f"po_{payout_id.hex[-6:]}")

    def every_state(self) -> dict[str, UUID]:
        """State -> a payout in it; each of 500 but the first, all by ada."""
        self.fund()
        made = {"awaiting_approval": self.request(amount_minor=700, waits=True)}
        for state, ways in WAYS.items():
            made[state] = self.request()
            for way in ways:
                getattr(self, way)(made[state])
        self._end(made)
        return made

    def _end(self, made: dict[str, UUID]) -> None:
        self.step(
            made["cancelled"], "cancelled", "person", actor="boss", reason="not wanted", code="cancelled"
        )
        self.step(made["failed"], "failed", "answer", attempt_no=1, code="no_account", failure_code="no_account",
                  attempts_made=1)  # fmt: skip
        self.attempt_is(made["failed"], "declined", "no_account")
        self.step(
            made["returned"], "returned", "webhook", attempt_no=1, code="bounced", failure_code="bounced"
        )
        self.attempt_is(made["returned"], "returned", "bounced")


ABOUT: Sequence[str] = ("attempt_no", "code", "actor", "reason", "job_id", "occurred_at", "detail")
WAYS: dict[str, tuple[str, ...]] = {
    "approved": (),
    "sending": ("claim",),
    "submitted": ("claim", "submit"),
    "in_doubt": ("claim", "doubt"),
    "cooling": ("claim", "decline"),
    "paid": ("claim", "submit", "pay"),
    "failed": ("claim",),
    "returned": ("claim", "submit", "pay"),
    "cancelled": (),
}
