"""Stripe's thin events: they name an object and do not contain it (docs.stripe.com/event-destinations#thin-payload).

The thin form of a snapshot event (`v1.charge.succeeded`) says that an endpoint was set up with the wrong payload style:
all of its events are kept, none takes effect, and each says what to choose.
"""

from collections.abc import Mapping
from typing import Any

from worker.providers import fields
from worker.providers.port import ProviderEvent

OBJECT = "v2.core.event"
WRONG_STYLE = (
    "this endpoint sends thin events; create the event destination with payload style 'snapshot' and have Stripe send "
    "the missed ones there"
)
NO_SNAPSHOT = frozenset({"v1.billing.meter.error_report_triggered", "v1.billing.meter.no_meter_found"})
"""These have no other form (stripe-python, stripe/events), and move no money."""
NO_MONEY = "v2.core."
"""Accounts, persons, event destinations. Other families of v2 hold and move money that no job of ours asked for."""


def is_thin(envelope: Mapping[str, Any]) -> bool:
    """Is it an event of Stripe's second API?"""
    return envelope.get("object") == OBJECT


def event(envelope: Mapping[str, Any], body: bytes) -> ProviderEvent:
    """Which event it is, and why it takes no effect."""
    seen = fields.event(
        fields.identity(envelope.get("id")) or fields.unidentified_key(body),
        fields.label(envelope.get("type")),
        occurred_at=fields.utc_time(envelope.get("created")),
    )
    return fields.understood(seen, lambda: _refused(envelope, seen.type))


def _refused(envelope: Mapping[str, Any], type_: str) -> Mapping[str, Any]:
    fields.need_identity(envelope, "id")
    if type_ == "unknown":
        raise fields.NotUnderstood("the type is missing, or not a name")
    if type_ in NO_SNAPSHOT or type_.startswith(NO_MONEY):
        return {}
    if type_.startswith("v1."):
        return {"refusal": "thin_event", "problem": f"{type_}: {WRONG_STYLE}"}
    return {"refusal": "unknown_event_type", "problem": f"{type_}: not known whether it moves money"}
