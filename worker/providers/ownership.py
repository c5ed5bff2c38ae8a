"""Whose money is it? What an account's settings say of it, held against what an authentic event says of itself.

A signature proves who sent an event, not whose money it tells of: one Stripe endpoint is told of all connected accounts
and of their test mode, one Adyen webhook of all merchant accounts of a company. An event of another account or mode
keeps its identity and nothing else, so that nothing can come of it, and says which field was not as expected.

Compared where it is read, so on every way in: the webhook door, the nightly sweep, webhooks fetched again.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from worker.providers import fields
from worker.providers.port import PAYOUT_MOVES, ProviderEvent

LISTED = "the settings take the events of the account itself, and of those that account and accounts name"
UNLISTED = "the settings list other merchant_accounts"


@dataclass(frozen=True, slots=True)
class Ownership:
    """What is ours: live mode or test mode; at Stripe the connected accounts that are ours beside the account itself;
    at Adyen the merchant accounts, None where the settings name none. `ignored_events` are types that this release does
    not know, and of which the settings say that they move no money."""

    live: bool = True
    accounts: frozenset[str] = frozenset()
    merchant_accounts: frozenset[str] | None = None
    ignored_events: frozenset[str] = frozenset()


def _known(event: ProviderEvent, ours: Ownership) -> ProviderEvent:
    """Adyen's types end in `:true` or `:false`; the settings name the code."""
    names = {event.type, event.type.partition(":")[0]}
    if event.refusal != "unknown_event_type" or names.isdisjoint(ours.ignored_events):
        return event
    return replace(event, refusal=None, problem=None)


def of_stripe(event: ProviderEvent, envelope: Mapping[str, Any], ours: Ownership | None) -> ProviderEvent:
    """The event of a connected account that is not listed is another's, unless it is about a payout: that is ours by
    its reference and the account it was sent to, which `account` is kept for.

    docs.stripe.com/api/events/object: `account` is the connected account an event comes from; `context`, which an
    organization's endpoint is told, names the account alone.
    """
    if ours is None:
        return event
    if reason := _other_mode("livemode", envelope.get("livemode"), {ours.live}, ours):
        return _of_another(event, reason)
    field = "context" if envelope.get("account") is None else "account"
    account = envelope.get(field)
    if account is None or _is_one_of(account, ours.accounts):
        return _known(event, ours)
    if event.move in PAYOUT_MOVES and fields.identity(account):
        return replace(event, account=account)
    if _is_of_payouts(event):
        return event
    return _of_another(event, f"{field} is another account's; {LISTED}")


def of_adyen_item(
    event: ProviderEvent, live: object, item: Mapping[str, Any], ours: Ownership | None
) -> ProviderEvent:
    """`live` stands outside of what Adyen signs: it can take an event away, and never makes one ours."""
    if ours is None:
        return event
    if reason := _other_mode("live", live, {ours.live, str(ours.live).lower()}, ours):
        return _of_another(event, reason)
    names = ours.merchant_accounts
    if names is not None and not _is_one_of(item.get("merchantAccountCode"), names):
        return _of_another(event, f"merchantAccountCode is another's; {UNLISTED}")
    return _known(event, ours)


def of_balance_platform(
    event: ProviderEvent, envelope: Mapping[str, Any], ours: Ownership | None
) -> ProviderEvent:
    """`environment` is signed with the body."""
    if ours is None:
        return event
    expected = {"live" if ours.live else "test"}
    reason = _other_mode("environment", envelope.get("environment"), expected, ours)
    return _of_another(event, reason) if reason else _known(event, ours)


def _other_mode(field: str, said: object, expected: set[Any], ours: Ownership) -> str | None:
    """Why the event is of the other mode. One that does not say its mode is of the mode of who signed it."""
    if said is None or (isinstance(said, bool | str) and said in expected):
        return None
    return f"{field} is not as the settings of this account expect it (live = {str(ours.live).lower()})"


def _is_one_of(name: object, names: Collection[str]) -> bool:
    return isinstance(name, str) and name in names


def _is_of_payouts(event: ProviderEvent) -> bool:
    return event.refusal is None and event.type.startswith(("payout.", "transfer."))


def _of_another(event: ProviderEvent, reason: str) -> ProviderEvent:
    return fields.event(
        event.event_key,
        event.type,
        occurred_at=event.occurred_at,
        problem=f"{event.type}: {reason}",
        refusal="other_account",
    )
