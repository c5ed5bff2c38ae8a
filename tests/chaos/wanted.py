"""What is asked of Ledgerbeat, and what must become of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Door = Literal["http", "sql", "celery"]
Move = Literal["captured", "refunded", "failed"]

ADYEN_EVENTS: Mapping[Move, str] = {
    "captured": "AUTHORISATION:PSP{}:true",
    "refunded": "REFUND:RF{}:true",
    "failed": "AUTHORISATION:PSP{}:false",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job that an app sends, and the end that it must come to.

    `postings` are the ledger transactions it makes; `balance_minor` is what its result must tell, where that is
    determined; `again`: the app sends it a second time.
    """

    tenant: str
    name: str
    key: str
    args: Mapping[str, Any]
    door: Door
    code: str | None = None
    postings: int = 1
    balance_minor: int | None = None
    again: bool = False

    @property
    def state(self) -> str:
        return "refused" if self.code else "done"


@dataclass(frozen=True, slots=True)
class Told:
    """An event that a provider tells, several times. Nobody expects the deposit of one that is not `known`."""

    tenant: str
    provider: str
    move: Move
    reference: str
    amount_minor: int
    known: bool = True

    @property
    def state(self) -> str:
        return "done" if self.known else "parked"

    @property
    def postings(self) -> int:
        return 1 if self.known and self.move != "failed" else 0

    @property
    def event_key(self) -> str:
        """How the provider names the event."""
        if self.provider == "adyen":
            return ADYEN_EVENTS[self.move].format(self.reference)
        return f"evt_{self.move}_{self.reference}"
