"""Payouts at the provider: submitted, then paid, failed or returned. Each move gives its event."""

from datetime import datetime

from ops.sandbox.problems import ProblemError
from ops.sandbox.requests import PayoutOrder
from ops.sandbox.state import Event, Payout, PayoutStatus, Record, State, new_id, next_event

MOVES: dict[PayoutStatus, tuple[PayoutStatus, ...]] = {
    "submitted": ("paid", "failed", "returned"),
    "paid": ("failed", "returned"),
    "failed": (),
    "returned": (),
}


def submit(state: State, order: PayoutOrder, now: datetime) -> tuple[Payout, Event]:
    """Money leaves, here and nowhere else."""
    amount, currency = order.amount_minor, order.currency
    payout = Payout(new_id("po"), order.reference, amount, currency, order.destination, now, order.fault)
    state.payouts[payout.id] = payout
    state.payout_ids.setdefault(payout.reference, []).append(payout.id)
    state.truth_of_payout(payout.reference).left.add(payout.amount_minor, payout.currency)
    return payout, next_event(payout, "payout.submitted", payout.amount_minor, now)


def settle(state: State, payout: Payout, status: PayoutStatus, now: datetime) -> Event:
    """Paid, or the money came back. Raises `ProblemError` 409 for a move that cannot be.

    A settled record is written for `paid`, and a second one when a paid payout is taken back.
    """
    if status not in MOVES[payout.status]:
        raise ProblemError(
            409, "impossible_move", f"payout {payout.id} is {payout.status}, it cannot become {status}"
        )
    was_paid = payout.status == "paid"
    payout.status = status
    if status == "paid" or was_paid:
        state.records.append(_record(payout, now))
    if status != "paid":
        state.truth_of_payout(payout.reference).back.add(payout.amount_minor, payout.currency)
    return next_event(payout, f"payout.{status}", payout.amount_minor, now)


def find(state: State, payout_id: str) -> Payout:
    """Raises `ProblemError` 404."""
    payout = state.payouts.get(payout_id)
    if payout is None:
        raise ProblemError(404, "unknown_payout", f"no payout {payout_id}")
    return payout


def _record(payout: Payout, now: datetime) -> Record:
    amount, status = payout.amount_minor, payout.status
    return Record(new_id("rec"), "payout", payout.reference, amount, 0, payout.currency, status, now)
