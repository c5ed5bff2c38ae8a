"""One payout as its row says, and one attempt of it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any, Self
from uuid import UUID

from models.ledger.holds import Hold
from models.payouts.states import OPEN_STATES, State


@dataclass(frozen=True, slots=True)
class Payout:
    """A row of `payouts`. Its id is the id of the job that asked for it, so the caller knows it from the 202.

    `attempts_made` counts attempts that were sent (a throttled one was not). `next_attempt_at` is set while it waits
    to be sent, `cooldown_until` says from when a person may send it again before that. `claim_version` grows with
    each claim: who comes back with an older one may not write. `dispatched_until`: a message for it is under way.
    `sequence` is the newest of the provider's counters that was applied.
    """

    id: UUID
    tenant: str
    owner: str
    amount_minor: int
    currency: str
    provider: str
    destination: str
    state: State
    requested_by: str
    business_date: date
    requested_at: datetime
    version: int = 1
    approved_by: str | None = None
    attempts_made: int = 0
    next_attempt_at: datetime | None = None
    cooldown_until: datetime | None = None
    approval_expires_at: datetime | None = None
    provider_reference: str | None = None
    failure_code: str | None = None
    claim_version: int = 0
    claimed_until: datetime | None = None
    dispatched_until: datetime | None = None
    in_doubt_since: datetime | None = None
    lookups_made: int = 0
    next_lookup_at: datetime | None = None
    sequence: int | None = None

    @property
    def hold(self) -> Hold:
        return Hold(self.tenant, str(self.id), self.owner, self.currency, self.amount_minor)

    @property
    def is_open(self) -> bool:
        """Is its money held?"""
        return self.state in OPEN_STATES

    @property
    def subject(self) -> str:
        """Of its ledger transactions, audit events and notifications."""
        return f"payout:{self.id}"

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        return cls(**{name: row[name] for name in PAYOUT_FIELDS})


PAYOUT_FIELDS = tuple(field.name for field in fields(Payout))


@dataclass(frozen=True, slots=True)
class Attempt:
    """A row of `payout_attempts`. `reference` is ours, unique per attempt, and finds the attempt at the provider.

    `provider_key` may be used from `first_used_at` until `key_valid_until`; later the provider has forgotten it.
    """

    payout_id: UUID
    attempt_no: int
    tenant: str
    provider: str
    provider_key: str
    reference: str
    claim_version: int
    outcome: str
    started_at: datetime
    first_used_at: datetime
    key_valid_until: datetime
    error_code: str | None = None
    object_id: str | None = None
    sends: int = 1
    finished_at: datetime | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        return cls(**{name: row[name] for name in ATTEMPT_FIELDS})


ATTEMPT_FIELDS = tuple(field.name for field in fields(Attempt))


def attempt_reference(payout_id: UUID, attempt_no: int) -> str:
    """Ours, at the provider: `<payout id without dashes>-<attempt number>`, 34 characters and more."""
    return f"{payout_id.hex}-{attempt_no}"


def attempt_key(payout_id: UUID, attempt_no: int) -> str:
    """The provider's idempotency key: derived, never drawn, so that it is the same after a crash (F2)."""
    return f"payout-{payout_id.hex}-{attempt_no}"
