"""What the sandbox provider remembers: payouts, deposits, records, kept answers, events, and the truth."""

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from pydantic import TypeAdapter

Scope = Literal["payouts", "deposits"]
PayoutStatus = Literal["submitted", "paid", "failed", "returned"]
DepositStatus = Literal["pending", "captured", "failed", "partially_refunded", "refunded", "charged_back"]
RecordKind = Literal["deposit", "payout", "refund", "chargeback", "fee"]
EventState = Literal["pending", "held", "delivered", "failed", "lost", "unsent"]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer that processing gave: the status and the JSON body. This is what a key keeps."""

    status: int
    body: dict[str, Any]


@dataclass(slots=True)
class Payout:
    """Money on its way out. `reference` is the caller's, unique per attempt; `fault` is its token."""

    id: str
    reference: str
    amount_minor: int
    currency: str
    destination: str
    created_at: datetime
    fault: str | None
    status: PayoutStatus = "submitted"
    sequence: int = 0


@dataclass(slots=True)
class Deposit:
    """Money that came in, and what of it went back."""

    id: str
    reference: str
    amount_minor: int
    currency: str
    created_at: datetime
    fault: str | None
    status: DepositStatus = "pending"
    sequence: int = 0
    refunded_minor: int = 0
    charged_back_minor: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """One settled line of the provider's books. Amounts are positive; kind and status give the direction."""

    id: str
    kind: RecordKind
    reference: str
    amount_minor: int
    fee_minor: int
    currency: str
    status: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The first answer given under an idempotency key."""

    fingerprint: str
    answer: Answer
    kept_until: datetime


@dataclass(slots=True)
class Event:
    """One event and how its webhook fared: `tries` over all copies, `copies_pending` still to be sent."""

    id: str
    type: str
    object_id: str
    scope: Scope
    occurred_at: datetime
    data: dict[str, Any]
    fault: str | None = None
    state: EventState = "pending"
    copies_pending: int = 0
    copies_delivered: int = 0
    tries: int = 0
    last_status: int | None = None
    last_error: str | None = None

    def public(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": self.type,
            "occurred_at": rfc3339(self.occurred_at),
            "data": self.data,
        }

    def body(self) -> bytes:
        """The bytes that are signed and sent: the same for every copy and every redelivery."""
        return json.dumps(self.public(), separators=(",", ":")).encode()


@dataclass(slots=True)
class Flow:
    """How often money moved, and how much of each currency, in minor units."""

    times: int = 0
    minor: dict[str, int] = field(default_factory=dict)

    def add(self, amount_minor: int, currency: str) -> None:
        self.times += 1
        self.minor[currency] = self.minor.get(currency, 0) + amount_minor


@dataclass(slots=True)
class PayoutTruth:
    """Per reference: money that left, and money that came back (failed or returned)."""

    left: Flow = field(default_factory=Flow)
    back: Flow = field(default_factory=Flow)


@dataclass(slots=True)
class DepositTruth:
    """Per reference: money that came in, and money that went back out or came again."""

    captured: Flow = field(default_factory=Flow)
    refunded: Flow = field(default_factory=Flow)
    charged_back: Flow = field(default_factory=Flow)
    chargeback_reversed: Flow = field(default_factory=Flow)


@dataclass(slots=True)
class State:
    """Everything the provider knows. One event loop owns it, so a change without `await` inside is atomic."""

    payouts: dict[str, Payout] = field(default_factory=dict)
    payout_ids: dict[str, list[str]] = field(default_factory=dict)
    deposits: dict[str, Deposit] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    kept: dict[str, KeptAnswer] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    payout_truth: dict[str, PayoutTruth] = field(default_factory=dict)
    deposit_truth: dict[str, DepositTruth] = field(default_factory=dict)
    clock_offset: timedelta = timedelta(0)

    def truth_of_payout(self, reference: str) -> PayoutTruth:
        return self.payout_truth.setdefault(reference, PayoutTruth())

    def truth_of_deposit(self, reference: str) -> DepositTruth:
        return self.deposit_truth.setdefault(reference, DepositTruth())


def object_view(thing: Payout | Deposit) -> dict[str, Any]:
    """A payout or deposit as callers see it, and as the `data` of its events."""
    return {
        "id": thing.id,
        "reference": thing.reference,
        "amount_minor": thing.amount_minor,
        "currency": thing.currency,
        "status": thing.status,
        "sequence": thing.sequence,
    }


def next_event(thing: Payout | Deposit, event_type: str, amount_minor: int, now: datetime) -> Event:
    """The next event of one object: its sequence grows by one, its amount is that of this very move."""
    thing.sequence += 1
    scope: Scope = "payouts" if isinstance(thing, Payout) else "deposits"
    data = object_view(thing) | {"amount_minor": amount_minor}
    return Event(new_id("evt"), event_type, thing.id, scope, now, data, thing.fault)


def record_view(record: Record) -> dict[str, Any]:
    return asdict(record) | {"occurred_at": rfc3339(record.occurred_at)}


def rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def new_id(prefix: str) -> str:
    """Unique across restarts too: those who listen dedupe by it."""
    return f"{prefix}_{uuid4().hex}"


_SNAPSHOT = TypeAdapter(State)


def load(path: Path) -> State:
    """The state of an earlier run, or a fresh one where there is none."""
    return _SNAPSHOT.validate_json(path.read_bytes()) if path.exists() else State()


def save(state: State, path: Path) -> None:
    """Write the state whole, or leave the old file as it was."""
    draft = path.with_name(path.name + ".new")
    draft.write_bytes(_SNAPSHOT.dump_json(state))
    draft.replace(path)
