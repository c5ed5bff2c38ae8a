"""What is asked of the ledger, and what it answers: plain frozen values."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, NamedTuple
from uuid import UUID

from models.errors import MalformedPosting
from models.money import BIGINT_MAX

AccountKey = tuple[str, str, str]
"""(tenant, code, currency)"""


class Leg(NamedTuple):
    """One entry asked for: credit-positive minor units on the account `code` in `currency`.

    `cover` names the account that takes what a negative leg's account lacks, so that a wallet is emptied and not
    overdrawn (a refund or a chargeback has left the provider whether the wallet can bear it or not).
    """

    code: str
    currency: str
    amount_minor: int
    cover: str | None = None


@dataclass(frozen=True, slots=True)
class Posting:
    """One ledger transaction asked for. `key` is unique per tenant, for ever; legs sum to zero per currency.

    `occurred_at` is business time, `subject` what it is about (`deposit:<provider>:<reference>`). Postings of one
    tenant with the same `group` (next to each other in the batch) stand or fall together. `requires` is the key of
    a transaction that must stand already, in the ledger or earlier in the batch. Raises MalformedPosting.

    `fingerprint` is the SHA-256 of what is asked for: kind, subject and legs in order. Times and jobs are not part of
    it.
    """

    tenant: str
    key: str
    kind: str
    legs: tuple[Leg, ...]
    occurred_at: datetime
    job_id: UUID | None = None
    subject: str | None = None
    group: str | None = None
    requires: str | None = None
    fingerprint: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        totals: dict[str, int] = {}
        for _, currency, amount, _ in self.legs:
            if type(amount) is not int or not 0 < abs(amount) <= BIGINT_MAX:
                raise MalformedPosting(
                    f"posting {self.key}: an amount is zero, past BIGINT or not an integer"
                )
            totals[currency] = totals.get(currency, 0) + amount
        if len(self.legs) < 2 or any(totals.values()):
            raise MalformedPosting(
                f"posting {self.key}: legs must be two or more and sum to zero per currency"
            )
        if not self.key or self.occurred_at.tzinfo is None:
            raise MalformedPosting(f"posting {self.key}: a key and an aware time are needed")
        object.__setattr__(self, "fingerprint", _fingerprint(self.kind, self.subject, self.legs))


def _fingerprint(kind: str, subject: str | None, legs: Sequence[Leg]) -> bytes:
    """Of json.dumps([kind, subject, [[code, currency, amount_minor, cover], ...]]), put together here: in a third of
    the time."""
    told = [
        f"[{quoted(code)}, {quoted(currency)}, {amount}, {_quoted(cover)}]"
        for code, currency, amount, cover in legs
    ]
    said = f"[{quoted(kind)}, {_quoted(subject)}, [{', '.join(told)}]]"
    return hashlib.sha256(said.encode()).digest()


def _quoted(name: str | None) -> str:
    return "null" if name is None else quoted(name)


@dataclass(frozen=True, slots=True)
class Created:
    """Inserted by this very call; `balances` are (code, currency, balance after) of the entries, in order."""

    transaction_id: int
    balances: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True, slots=True)
class Replayed:
    """The same posting stands already; nothing was written. `balances` as they were then."""

    transaction_id: int
    balances: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was written. `code`: insufficient_funds, amount_out_of_range, idempotency_conflict,
    requirement_missing, group_refused. `detail` holds codes, currencies and amounts of this posting only."""

    code: str
    detail: dict[str, Any] = field(default_factory=dict)


PostingOutcome = Created | Replayed | Refused
