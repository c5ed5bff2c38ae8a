"""The demo's chapter on payouts: approved by a person, declined and tried again, in doubt and found out. Paid once."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

import click
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.errors import LedgerbeatError
from models.payouts.payout import attempt_reference
from models.payouts.story import tell_story
from ops.cli.payouts import print_story
from ops.demo.doors import Doors
from ops.embedded.process import wait_until

POLICY = {
    "approval_threshold_minor": 2_400,
    "payout_cooldown_seconds": 1,
    "in_doubt_ladder_seconds": [1, 2, 4],
    "actor": "ops:dana",
    "reason": "the demo has no time",
}
"""Waits of seconds: real tenants keep the defaults, five minutes of cooldown and a ladder that goes on for hours."""

LOST_SECONDS_MAX = 60

ATTEMPTS = text("SELECT attempt_no FROM payout_attempts WHERE payout_id = :id ORDER BY attempt_no")


class Unpaid(LedgerbeatError):
    """The demo's first payout has not reached the sandbox."""


def pay_out(doors: Doors) -> Mapping[str, str]:
    """Three payouts: the chapter's title of each, and its id."""
    doors.at_sandbox("/_settings", {"settle_seconds": 0.2, "visibility_seconds": 0})
    doors.job("policies.set", POLICY, key="policy")
    return {
        "In doubt: the answer and the webhooks were lost, a look-up found it": _in_doubt(doors),
        "Approved by a second person, and paid": _approved(doors),
        "Declined by the bank, cooled down, tried again, and paid": _declined(doors),
    }


def _in_doubt(doors: Doors) -> str:
    """The money leaves, and all that would tell us of it is lost."""
    doors.at_sandbox("/_faults", {"fault": "webhook_lost", "scope": "webhooks", "count": 100})
    payout_id = _request(doors, "carol", 2_000, "fault:timeout_after", key="payout-carol")
    if not wait_until(lambda: "payout.paid" in doors.lost_webhooks(), LOST_SECONDS_MAX):
        raise Unpaid(f"after {LOST_SECONDS_MAX} s the sandbox has not paid out payout {payout_id}")
    doors.end_faults()
    return payout_id


def _approved(doors: Doors) -> str:
    payout_id = _request(doors, "alice", 2_500, "ba_alice", key="payout-alice")
    own = {"payout_id": payout_id, "actor": "app:cashier", "reason": "my own request"}
    doors.job("payouts.approve", own, key="approve-own")
    doors.job("payouts.approve", own | {"actor": "ops:dana", "reason": "checked"}, key="approve-alice")
    return payout_id


def _declined(doors: Doors) -> str:
    return _request(doors, "bob", 1_500, "fault:decline_retryable:1", key="payout-bob")


def _request(doors: Doors, owner: str, amount_minor: int, destination: str, *, key: str) -> str:
    args = {"owner": owner, "amount_minor": amount_minor, "currency": "EUR", "provider": "sandbox",
            "destination": destination, "requested_by": "app:cashier"}  # fmt: skip
    return doors.job("payouts.request", args, key=key)


def print_payouts(session: Session, chapters: Mapping[str, str]) -> None:
    """Each as `ledgerbeat payouts show` tells it."""
    click.secho("\nThe payouts (ledgerbeat payouts show ID)", bold=True)
    for title, payout_id in chapters.items():
        click.secho(f"\n{title}", bold=True)
        print_story(tell_story(session, UUID(payout_id)), datetime.now(UTC))


def paid_once(session: Session, doors: Doors, payout_ids: Sequence[str]) -> bool:
    """Did the money of each really leave once, by the provider's own count? Says so."""
    left = {payout_id: _times_left(session, doors, UUID(payout_id)) for payout_id in payout_ids}
    for payout_id, times in left.items():
        verdict = "ok" if times == 1 else "BROKEN"
        click.echo(f"{verdict:<6} payout {payout_id}: its money left the sandbox {times} times")
    return all(times == 1 for times in left.values())


def _times_left(session: Session, doors: Doors, payout_id: UUID) -> int:
    truth = doors.truth()
    made = session.execute(ATTEMPTS, {"id": payout_id}).scalars()
    references = [attempt_reference(payout_id, attempt_no) for attempt_no in made]
    return sum(truth[one]["left"]["times"] for one in references if one in truth)
