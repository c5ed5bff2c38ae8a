"""What a provider says it told us: its list of events, to find the webhooks that never came.

Adyen has no such list: its missed webhooks are found by reconciliation only.
"""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from worker.providers.event_json import NotUnderstood, written
from worker.providers.event_keys import event_job_key
from worker.providers.port import ProviderEvent
from worker.providers.records.asking import Patience
from worker.providers.records.port import SourceFailed, Window
from worker.providers.records.registry import api_account
from worker.providers.records.sandbox import SandboxRecords
from worker.providers.registry import ADAPTERS
from worker.providers.stripe import TYPES as STRIPE_TYPES
from worker.settings import ProviderSettings

KEPT: Mapping[str, timedelta | None] = {"sandbox": None, "stripe": timedelta(days=30)}
"""Adapters that have a list, and how far it goes back (docs.stripe.com/api/events/list); None: to the beginning."""

STRIPE_TYPES_MAX = 20
"""So many names the parameter `types` takes."""


@dataclass(frozen=True, slots=True)
class ListedEvent:
    """One event as its webhook would have brought it, without a signature: the list came over our own connection."""

    body: bytes
    headers: Mapping[str, str]

    def read(self, account: ProviderSettings) -> tuple[tuple[str, ProviderEvent], ...]:
        """What it says, each with the idempotency key that its webhook's job has. Raises MalformedEvent."""
        adapter = ADAPTERS[account.adapter]
        found = adapter.parse(self.body, self.headers, capture=account.capture, ours=account.ownership)
        return tuple((event_job_key(account.name, one.event_key, one.as_args()), one) for one in found)


def missed_events(
    account: ProviderSettings, since: datetime, until: datetime, patience: Patience | None = None
) -> Iterator[ListedEvent]:
    """All events of the types we handle, whether their webhooks came or not: from `since`, before `until`, oldest
    first. What is older than the list goes back is not there. Raises SourceFailed; SettingsError without a key.
    """
    if account.adapter not in KEPT:
        raise SourceFailed(f"provider {account.name}: {account.adapter} has no list of events")
    source, window = api_account(account, patience or Patience()), Window(since, until)
    if isinstance(source, SandboxRecords):
        return (_listed(row, _member(row, "id")) for row in source.events(window))
    names = sorted(STRIPE_TYPES)
    parts = [names[at : at + STRIPE_TYPES_MAX] for at in range(0, len(names), STRIPE_TYPES_MAX)]
    rows = heapq.merge(*(source.events(window, part) for part in parts), key=_created)
    return (_listed(row, None) for row in rows)


def _created(row: Mapping[str, Any]) -> int:
    value = _member(row, "created")
    return value if type(value) is int else 0


def _member(row: Mapping[str, Any], name: str) -> object:
    """None where it stands twice: the event's own reader says so."""
    try:
        return row.get(name)
    except NotUnderstood:
        return None


def _listed(row: dict[str, Any], webhook_id: object) -> ListedEvent:
    headers = {"webhook-id": webhook_id} if isinstance(webhook_id, str) else {}
    return ListedEvent(written(row), headers)
