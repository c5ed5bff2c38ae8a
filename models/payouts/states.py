"""The states of a payout and the only moves between them. ops/state-machines.md draws them.

`requested` and `refused` are no rows: a request is refused before it becomes a payout (the job says why).
"""

from collections.abc import Mapping
from typing import Literal

State = Literal[
    "awaiting_approval", "approved", "sending", "submitted", "in_doubt", "cooling",
    "paid", "returned", "failed", "cancelled",
]  # fmt: skip

STATES = (
    "awaiting_approval", "approved", "sending", "submitted", "in_doubt", "cooling",
    "paid", "returned", "failed", "cancelled",
)  # fmt: skip

MOVES: Mapping[State, frozenset[State]] = {
    "awaiting_approval": frozenset({"approved", "cancelled"}),
    "approved": frozenset({"sending", "cancelled", "submitted", "paid"}),
    "sending": frozenset({"submitted", "cooling", "in_doubt", "failed", "paid"}),
    "submitted": frozenset({"paid", "failed"}),
    "in_doubt": frozenset({"submitted", "paid", "cooling", "failed"}),
    "cooling": frozenset({"sending", "cancelled", "submitted", "paid"}),
    "paid": frozenset({"returned"}),
    "returned": frozenset({"paid"}),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
"""State -> where it may go. `approved` and `cooling` -> `submitted`, `paid`: the provider proves, by a signed
webhook or a look-up, that an attempt we took for not done was done after all; then it must not be sent again.
`returned` -> `paid`: the reversal that had brought the money back has failed."""

OPEN_STATES = ("awaiting_approval", "approved", "sending", "submitted", "in_doubt", "cooling")
"""Money is held."""
DUE_STATES = ("approved", "cooling")
"""Waits for its next attempt."""
ASKED_STATES = ("in_doubt", "submitted")
"""The provider knows what became of it, and is asked for that."""

ATTEMPT_OUTCOMES = (
    "sending", "not_sent", "in_doubt", "submitted", "paid",
    "returned", "declined", "failed", "not_found", "abandoned",
)  # fmt: skip
"""not_sent: the provider provably did nothing and gave no verdict (throttled, unreachable): its key is used again ·
declined: refused by the provider's answer · failed: by a webhook, a look-up or a person, after it was taken ·
not_found: asked for after the settle delay, it does not exist · abandoned: not sent, and its key is too old"""
LIVE_OUTCOMES = ("sending", "not_sent", "in_doubt", "submitted", "paid")
"""May pay, or has paid: no other attempt may be alive beside it."""
NOT_DONE_OUTCOMES = ("declined", "not_found", "abandoned")
"""Taken for not done: a proof that it was done after all must be heard."""
