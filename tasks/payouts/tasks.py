"""Celery's view of payouts: one message per attempt and per look-up, by the payout's id, and the tick."""

from uuid import UUID

from tasks.payouts.attempts import attempt
from tasks.payouts.dispatch import dispatch, tick
from tasks.payouts.hands import Hands
from tasks.payouts.resolving import resolve
from tasks.payouts.turns import Turns
from worker.celery import app, publish_payout
from worker.resources import current
from worker.telemetry import TaskFailed, reported

turns: Turns[tuple[str, str]] = Turns()
"""Attempts of one account that end together give their places away together."""


def hands() -> Hands:
    """Of this process."""
    resources = current()
    return Hands(resources.transaction, resources.payout_accounts, resources.payout_locks, publish_payout)


@app.task(name="payouts.attempt", throws=(TaskFailed,))
def attempt_payout(payout_id: str) -> None:
    """Send the payout, if it is its turn; then give the place that is free again to the next one."""
    with reported("payouts.attempt.failed", payout_id=payout_id):
        ours = hands()
        if place := attempt(ours, UUID(payout_id)):
            turns.take(place.account, lambda: dispatch(ours, [place.account]))


@app.task(name="payouts.resolve", throws=(TaskFailed,))
def resolve_payout(payout_id: str) -> None:
    """Ask the provider what became of a payout in doubt."""
    with reported("payouts.resolve.failed", payout_id=payout_id):
        resolve(hands(), UUID(payout_id))


@app.task(name="payouts.dispatch", throws=(TaskFailed,), send_events=False)
def dispatch_payouts() -> None:
    """Send a message for whatever is due, and end what has waited too long."""
    with reported("payouts.dispatch.failed"):
        tick(hands())
