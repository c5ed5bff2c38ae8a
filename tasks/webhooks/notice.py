"""What a `webhooks.event` job carries, and which deposit it means. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from models.errors import InvalidArguments
from tasks.webhooks.facts import Deposit
from worker.providers.port import ProviderEvent

FIRST_MOVES = (None, "authorised", "captured", "capture_total", "failed")
"""What may be told of a payment before anything else is."""


@dataclass(frozen=True, slots=True)
class Notice:
    """An authentic event of the tenant's provider account `provider`."""

    provider: str
    event: ProviderEvent

    @classmethod
    def from_args(cls, args: Mapping[str, Any]) -> Self:
        """From the job's arguments: `ProviderEvent.as_args()` and `provider`. Raises InvalidArguments."""
        given = dict(args)
        provider = given.pop("provider", None)
        if not isinstance(provider, str):
            raise InvalidArguments(
                "no provider", [{"pointer": "/provider", "message": "This field is required."}]
            )
        try:
            return cls(provider, ProviderEvent.from_args(given))
        except ValueError as error:
            raise InvalidArguments(str(error), [{"pointer": "", "message": str(error)}]) from None


def references(notices: Sequence[Notice]) -> set[tuple[str, str]]:
    """(provider, reference) of those that name one."""
    return {(one.provider, one.event.reference) for one in notices if one.event.reference is not None}


def object_ids(notices: Sequence[Notice]) -> set[str]:
    """The payments that they name."""
    return {one.event.object_id for one in notices if one.event.object_id is not None}


def assign(notices: Sequence[Notice], deposits: Mapping[int, Deposit]) -> list[int | None]:
    """The deposit (its row id) that each notice means: by our reference, else by the payment. A modification the other
    way round: what it calls its reference may be its own, or anybody's.

    A payment is also known by another notice of this very run that names it together with our reference.
    """
    rows = {(one.provider, one.reference): row_id for row_id, one in deposits.items()}
    named = [rows.get((one.provider, one.event.reference or "")) for one in notices]
    payments: dict[tuple[str, str | None], int] = {}
    for row_id, deposit in deposits.items():
        for object_id in deposit.object_ids:
            payments.setdefault((deposit.provider, object_id), row_id)
    for notice, row in zip(notices, named, strict=True):
        if row is not None and notice.event.object_id is not None and not _is_modification(notice.event):
            payments.setdefault((notice.provider, notice.event.object_id), row)
    paid = [payments.get((notice.provider, notice.event.object_id)) for notice in notices]
    return [
        _first(by_payment, row) if _is_modification(notice.event) else _first(row, by_payment)
        for notice, row, by_payment in zip(notices, named, paid, strict=True)
    ]


def _is_modification(event: ProviderEvent) -> bool:
    """Is it about a payment that another event tells of first? Such as a refund or a dispute."""
    return event.move not in FIRST_MOVES


def _first(preferred: int | None, otherwise: int | None) -> int | None:
    return otherwise if preferred is None else preferred


def torn(
    notices: Sequence[Notice], rows: Sequence[int | None], deposits: Mapping[int, Deposit]
) -> frozenset[int]:
    """Positions of the moves whose reference names one deposit (`rows`) and whose payment belongs to another.

    A payment belongs to the deposit that it was first told of: it must not be credited twice.
    """
    belongs = {
        (one.provider, object_id): row for row, one in deposits.items() for object_id in one.object_ids
    }
    found = set()
    for position, (notice, row) in enumerate(zip(notices, rows, strict=True)):
        payment = notice.event.object_id
        if row is None or payment is None or notice.event.move is None:
            continue
        if belongs.setdefault((notice.provider, payment), row) != row:
            found.add(position)
    return frozenset(found)
