"""The adapters by name, and the one way in for a webhook: verify, then read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from worker.providers import adyen, sandbox, stripe
from worker.providers.ownership import Ownership
from worker.providers.port import Capture, ProviderEvent


class Adapter(Protocol):
    """What one vendor's module offers. All of it is pure."""

    def secret_key(self, secret: str) -> bytes | None:
        """The key in a webhook secret; None when it is unusable."""

    def verify(self, secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: datetime) -> int:
        """Index of the secret that signed. Raises WebhookRefused, and nothing else, whatever the input."""

    def parse(
        self,
        body: bytes,
        headers: Mapping[str, str],
        *,
        capture: Capture = "automatic",
        ours: Ownership | None = None,
    ) -> tuple[ProviderEvent, ...]:
        """The events of an authentic body, those of others than `ours` as such (None: of whomever).

        Raises MalformedEvent, and nothing else, whatever the input.
        """


ADAPTERS: Mapping[str, Adapter] = {"sandbox": sandbox, "stripe": stripe, "adyen": adyen}

KEY_FORMS: Mapping[str, str] = {
    "sandbox": "base64, with or without the prefix whsec_",
    "stripe": "the endpoint's signing secret, such as whsec_...",
    "adyen": "hexadecimal",
}


@dataclass(frozen=True, slots=True)
class Received:
    """An authentic webhook: which of the secrets signed it, and what it says. UNSIGNED: nothing that takes effect."""

    secret_index: int
    events: tuple[ProviderEvent, ...]


def receive(
    adapter_name: str,
    secrets: Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    capture: Capture = "automatic",
    ours: Ownership | None = None,
) -> Received:
    """Verified and read. Raises WebhookRefused; KeyError for an adapter that does not exist."""
    adapter = ADAPTERS[adapter_name]
    secret_index = adapter.verify(secrets, headers, body, now)
    return Received(secret_index, adapter.parse(body, headers, capture=capture, ours=ours))


def secret_problem(adapter_name: str, secret: str) -> str | None:
    """Why no signature can ever match this secret, in one sentence; None when it is usable."""
    if ADAPTERS[adapter_name].secret_key(secret):
        return None
    return f"A webhook secret of the adapter {adapter_name} must be {KEY_FORMS[adapter_name]}."


def secret_keys(adapter_name: str, secret: str) -> frozenset[bytes]:
    """What tells this secret from others: as it is written, and the key that it spells."""
    key = ADAPTERS[adapter_name].secret_key(secret)
    return frozenset(one for one in (secret.strip().encode(), key) if one)
