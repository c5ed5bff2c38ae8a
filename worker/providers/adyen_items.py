"""The items of an Adyen notification: which there are, which are signed, and which may come unsigned.

Nothing signs the body around the items, so what is read before a signature holds is bounded. Adyen sends some report
notifications without a signature. They move no money, and to refuse one would hold up all that wait behind it at Adyen:
they get their 2xx and nothing else, no job and no row, whoever sent them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.providers import signatures
from worker.providers.event_json import NotUnderstood, json_object
from worker.providers.port import UNSIGNED, BadSignature, MalformedEvent

ITEMS_MAX = 100
CONTAINERS_MAX = 10_000
"""Objects and lists in a body: an item has three or four."""
MAY_BE_UNSIGNED = frozenset({"REPORT_AVAILABLE"})
"""Event codes of which nothing that happens to money depends. Only these: a 2xx for another one would lose it."""

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Notification:
    """The items in order; `live` as it stands in the body around them."""

    live: object
    items: Sequence[Item]

    def signed(self) -> Iterator[tuple[int, Item]]:
        """Place and item of those that Adyen signed, once `verify` has seen them."""
        return ((place, item) for place, item in enumerate(self.items) if not _may_pass_unsigned(item))


def read(body: bytes) -> Notification:
    """The notification in a body. Raises MalformedEvent."""
    envelope = json_object(body, CONTAINERS_MAX)
    try:
        wrappers = envelope.get("notificationItems")
        if not isinstance(wrappers, list) or len(wrappers) > ITEMS_MAX:
            raise MalformedEvent(f"notificationItems is not a list of at most {ITEMS_MAX} items.")
        items = [wrapper.get("NotificationRequestItem") for wrapper in wrappers if isinstance(wrapper, dict)]
    except NotUnderstood as reason:
        raise MalformedEvent(f"{reason}.") from None
    objects = [item for item in items if isinstance(item, dict)]
    if len(objects) != len(wrappers):
        raise MalformedEvent("A notification item is not an object in NotificationRequestItem.")
    return Notification(_live(envelope), objects)


def _live(envelope: Mapping[str, Any]) -> object:
    """What it says of its mode; two answers are none that anybody expects."""
    try:
        return envelope.get("live")
    except NotUnderstood:
        return "twice"


def verify(secrets: Sequence[str], notification: Notification) -> int:
    """Index of the secret that signed, UNSIGNED where nothing had to be signed. Raises BadSignature.

    Every item must be signed but those that may come unsigned.
    """
    try:
        signed = [item for _, item in notification.signed()]
        if notification.items and not signed:
            return UNSIGNED
        return signatures.verify_adyen_items(secrets, signed)
    except NotUnderstood:
        raise BadSignature("A signed field of a notification item stands twice.") from None


def _may_pass_unsigned(item: Item) -> bool:
    """A signature that is there is looked at, whatever the event."""
    additional = item.get("additionalData")
    signature = additional.get("hmacSignature") if isinstance(additional, Mapping) else None
    return not signature and _code(item) in MAY_BE_UNSIGNED


def _code(item: Item) -> str:
    value = item.get("eventCode")
    return value if isinstance(value, str) else ""
