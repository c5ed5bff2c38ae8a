"""Stripe's payouts and transfers as its API tells them, and where our destinations lead. Pure; no SDK."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from worker.providers.payouts import amounts
from worker.providers.payouts.destinations import DESTINATION
from worker.providers.payouts.port import Found, NotFound, ObjectStatus, Sighting, Unsure
from worker.providers.payouts.reading import child, safe_code, safe_id

# docs.stripe.com/api/payouts/object#payout_object-status; what is in no row proves nothing. `reversed_by` says that a
# reversal was asked for, not that it was paid: its own events say what becomes of it.
PAYOUT_STATUSES: Mapping[str, ObjectStatus] = {
    "pending": "submitted",
    "in_transit": "submitted",
    "paid": "paid",
    "failed": "failed",
    "canceled": "failed",
}


@dataclass(frozen=True, slots=True)
class Way:
    """Where a destination leads. `account`: the connected account that pays out; `external`: its bank or card."""

    transfer: str | None
    account: str | None
    external: str | None

    @property
    def operation(self) -> amounts.Operation:
        return "transfer" if self.transfer else "payout"

    def options(self) -> dict[str, Any]:
        """For the SDK: whose account it is about."""
        return {"stripe_account": self.account} if self.account else {}


def way_to(destination: str) -> Way | None:
    """The parts of a destination; None when it is none of ours."""
    found = DESTINATION.fullmatch(destination)
    return Way(found["transfer"], found["account"], found["external"]) if found else None


def rows_of(page: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The objects of a page. Raises TypeError for what is no page: an empty list must be one to be believed."""
    rows = page.get("data")
    if not isinstance(rows, list) or not isinstance(page.get("has_more"), bool):
        raise TypeError("no page")
    if not all(isinstance(row, Mapping) for row in rows):
        raise TypeError("no objects")
    return rows


def only(rows: list[dict[str, Any]], reference: str, way: Way) -> Sighting:
    if len(rows) > 1:
        return Unsure("several_found")
    return seen(rows[0], reference, way) if rows else NotFound()


def reference_of(row: Mapping[str, Any]) -> object:
    return child(row, "metadata").get("reference")


def seen(row: Mapping[str, Any], reference: str, way: Way) -> Found | Unsure:
    object_id, amount, currency = safe_id(row.get("id")), row.get("amount"), str(row.get("currency")).upper()
    status = _transfer_status(row) if way.transfer else PAYOUT_STATUSES.get(str(row.get("status")))
    if object_id is None or status is None or type(amount) is not int or reference_of(row) != reference:
        return Unsure("unreadable_answer")
    try:
        amount_minor = amounts.from_provider("stripe", way.operation, amount, currency)
    except amounts.NotRepresentable:
        return Unsure("unreadable_answer")
    code = "canceled" if row.get("status") == "canceled" else safe_code(row.get("failure_code"), "")
    return Found(object_id, status, amount_minor, currency, code or None)


def _transfer_status(transfer: Mapping[str, Any]) -> ObjectStatus | None:
    """A transfer is made at once (docs.stripe.com/api/transfers/object); one that came back in part is neither."""
    if transfer.get("reversed") is True:
        return "returned"
    return "paid" if transfer.get("reversed") is False and not transfer.get("amount_reversed") else None
