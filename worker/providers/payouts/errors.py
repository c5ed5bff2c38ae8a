"""How an adapter's error map is written: rows, read from the top; what fits none is in doubt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from worker.providers.payouts.port import Answer, Declined, InDoubt, NotSent, Stopped

Meaning = Literal["not_sent", "declined_retryable", "declined_final", "in_doubt", "stop"]

ANY = "*"


@dataclass(frozen=True, slots=True)
class Row:
    """`status` is HTTP's. `kind` and `code` are what the vendor's body says, as the adapter reads it; ANY fits all."""

    status: int
    kind: str
    code: str
    means: Meaning
    source: str

    def fits(self, status: int, kind: str, code: str) -> bool:
        return self.status == status and self.kind in (ANY, kind) and self.code in (ANY, code)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as the provider answered it, reduced to what is safe to log. `told` is the code to keep."""

    status: int
    kind: str
    code: str
    retry_after_seconds: float | None = None

    @property
    def told(self) -> str:
        return self.code or self.kind or f"http_{self.status}"


def answer(rows: Sequence[Row], refusal: Refusal) -> Answer:
    """What the refusal means. An unknown one is in doubt: it is neither tried again blindly nor given up."""
    means = next((r.means for r in rows if r.fits(refusal.status, refusal.kind, refusal.code)), "in_doubt")
    match means:
        case "not_sent":
            return NotSent(refusal.told, refusal.retry_after_seconds)
        case "declined_retryable":
            return Declined(refusal.told, True, refusal.retry_after_seconds)
        case "declined_final":
            return Declined(refusal.told, False)
        case "stop":
            return Stopped(refusal.told)
        case _:
            return InDoubt(refusal.told)
