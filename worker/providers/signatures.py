"""Who sent this? The vendors' signature schemes over raw bytes, pure: no clock, no network, no SDK.

Each `verify_*` returns the index of the secret that matched, so that a rotation can be watched, and raises
BadSignature or StaleSignature and nothing else, whatever the input. Every secret is tried against every
signature, in constant time, before any answer. An unusable secret (blank, or not decodable) matches nothing.

Sources: standardwebhooks.com specification 1.0.0; docs.stripe.com/webhooks#verify-manually;
docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from worker.providers.headers import Headers
from worker.providers.port import BadSignature, StaleSignature

TOLERANCE_SECONDS = 300
HEADER_LENGTH_MAX = 4_096
SIGNATURES_MAX = 16
KEYS_KEPT = 1_024
"""Decoded secrets, of the configuration and of the strangers beside it."""

_UNIX_SECONDS = re.compile(r"[0-9]{1,12}")
_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
_BASE64_DIGEST = re.compile(r"[A-Za-z0-9+/]{43}=")
_VERSIONED_TOKEN = re.compile(r"[A-Za-z0-9]+,[A-Za-z0-9+/=_-]+")
# A full stop would let the boundary between id and timestamp be moved (specification, "Signature scheme").
_WEBHOOK_ID = re.compile(r"[!-\-/-~]{1,200}")


def verify_standard_webhook(
    secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: datetime
) -> int:
    """Standard Webhooks, symmetric (`v1`): `webhook-id`, `webhook-timestamp`, `webhook-signature`."""
    sent_id, sent_at = webhook_id(headers), header(headers, "webhook-timestamp")
    given = _v1_tokens(header(headers, "webhook-signature"))
    signed = f"{sent_id}.{sent_at}.".encode() + body
    matched = _matching_secret([standard_webhook_key(secret) for secret in secrets], signed, given, _base64)
    _check_fresh(sent_at, now)
    return matched


def sign_standard_webhook(
    secret: str | Sequence[str], webhook_id: str, timestamp: int, body: bytes
) -> dict[str, str]:
    """The three headers, with one signature for each secret (several while rotating). Raises ValueError."""
    keys = [standard_webhook_key(one) for one in ([secret] if isinstance(secret, str) else secret)]
    usable = [key for key in keys if key]
    if not usable or len(usable) != len(keys):
        raise ValueError("a Standard Webhooks secret must be base64, with or without the prefix whsec_")
    if not _WEBHOOK_ID.fullmatch(webhook_id):
        raise ValueError("a webhook id must be 1 to 200 printable ASCII characters without a full stop")
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{_base64(_digest(key, signed))}" for key in usable),
    }


def verify_stripe(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: datetime) -> int:
    """`Stripe-Signature: t=<unix>,v1=<hex>[,v1=<hex>...]`; the future is refused too, unlike in Stripe's library."""
    sent_at, given = _stripe_parts(header(headers, "stripe-signature"))
    signed = f"{sent_at}.".encode() + body
    matched = _matching_secret([stripe_key(secret) for secret in secrets], signed, given, bytes.hex)
    _check_fresh(sent_at, now)
    return matched


def verify_adyen_payload(secrets: Sequence[str], headers: Mapping[str, str], body: bytes) -> int:
    """Adyen's balance platform: `HmacSignature` over the raw body. There is no timestamp."""
    given = _adyen_digest(header(headers, "hmacsignature"))
    return _matching_secret([adyen_key(secret) for secret in secrets], body, [given], _base64)


def verify_adyen_items(secrets: Sequence[str], items: Sequence[Mapping[str, Any]]) -> int:
    """Adyen's standard notifications: every item carries its own signature, and every one must hold.

    Returns the highest index that matched, so that a secret still in use is seen. There is no timestamp, and
    `eventDate`, `reason` and `additionalData` are not signed.
    """
    if not items:
        raise BadSignature("No notification item is signed: the list is empty.")
    keys = [adyen_key(secret) for secret in secrets]
    return max(_verify_adyen_item(keys, item) for item in items)


def header(headers: Mapping[str, str], name: str) -> str:
    """The value of the header `name` (lower case). Raises BadSignature: missing, repeated or not ASCII."""
    values = _values(headers, name)
    if len(values) != 1:
        raise BadSignature(f"The header {name} is {'repeated' if values else 'missing'}.")
    if not values[0].isascii() or len(values[0]) > HEADER_LENGTH_MAX:
        raise BadSignature(f"The header {name} is not ASCII, or longer than {HEADER_LENGTH_MAX} characters.")
    return values[0]


def has_header(headers: Mapping[str, str], name: str) -> bool:
    """Is there any header `name` (lower case)?"""
    return bool(_values(headers, name))


def _values(headers: Mapping[str, str], name: str) -> Sequence[str]:
    if isinstance(headers, Headers):
        return headers.all(name)
    return [value for key, value in headers.items() if key.lower() == name]


def webhook_id(headers: Mapping[str, str]) -> str:
    """The `webhook-id`, 1 to 200 printable ASCII characters without a full stop. Raises BadSignature."""
    value = header(headers, "webhook-id")
    if not _WEBHOOK_ID.fullmatch(value):
        raise BadSignature(
            "The header webhook-id is not 1 to 200 printable ASCII characters without a full stop."
        )
    return value


@lru_cache(KEYS_KEPT)
def standard_webhook_key(secret: str) -> bytes | None:
    """`whsec_` + base64 (padding optional), or bare base64; None when unusable."""
    text = secret.removeprefix("whsec_")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True) or None
    except ValueError:
        return None


def stripe_key(secret: str) -> bytes | None:
    """The secret as UTF-8, its prefix `whsec_` included; None when unusable."""
    try:
        return secret.encode("utf-8") if secret.strip() else None
    except UnicodeEncodeError:
        return None


def adyen_key(secret: str) -> bytes | None:
    """Hexadecimal; None when unusable."""
    try:
        return binascii.unhexlify(secret) or None
    except ValueError:
        return None


def _v1_tokens(value: str) -> list[str]:
    """Signatures of version 1; other versions are passed over, what is not `version,signature` is refused."""
    tokens = value.split(" ")
    if len(tokens) > SIGNATURES_MAX or not all(_VERSIONED_TOKEN.fullmatch(token) for token in tokens):
        raise BadSignature("The header webhook-signature is not a list of `version,signature`.")
    return [signature for version, signature in (token.split(",") for token in tokens) if version == "v1"]


def _stripe_parts(value: str) -> tuple[str, list[str]]:
    parts = [part.partition("=") for part in value.split(",")]
    if len(parts) > SIGNATURES_MAX or not all(equals for _, equals, _ in parts):
        raise BadSignature("The header stripe-signature is not a list of `name=value`.")
    times = [text for name, _, text in parts if name.strip() == "t"]
    if len(times) != 1:
        raise BadSignature("The header stripe-signature must say `t` once.")
    return times[0], [text for name, _, text in parts if name == "v1" and _HEX_DIGEST.fullmatch(text)]


def _verify_adyen_item(keys: Sequence[bytes | None], item: Mapping[str, Any]) -> int:
    additional = item.get("additionalData")
    signature = additional.get("hmacSignature") if isinstance(additional, Mapping) else None
    return _matching_secret(keys, _adyen_signed(item), [_adyen_digest(signature)], _base64)


def _adyen_digest(signature: object) -> str:
    if not isinstance(signature, str) or not _BASE64_DIGEST.fullmatch(signature):
        raise BadSignature("An Adyen signature is missing, or not the base64 of a SHA-256 digest.")
    return signature


def _adyen_signed(item: Mapping[str, Any]) -> bytes:
    amount = item.get("amount")
    amount = amount if isinstance(amount, Mapping) else {}
    parts = [
        _adyen_text(item.get("pspReference")),
        _adyen_text(item.get("originalReference")),
        _adyen_text(item.get("merchantAccountCode")),
        _adyen_text(item.get("merchantReference"), colons=True),
        _adyen_text(amount.get("value")),
        _adyen_text(amount.get("currency")),
        _adyen_text(item.get("eventCode")),
        _adyen_text(item.get("success")),
    ]
    return ":".join(parts).encode("utf-8", "surrogatepass")


def _adyen_text(value: object, *, colons: bool = False) -> str:
    """A field as it was signed. Colons are not escaped: were two fields to hold them, their border could move."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int):
        raise BadSignature("A signed field of a notification item is neither text nor a whole number.")
    if not colons and ":" in str(value):
        raise BadSignature("A signed field of a notification item other than merchantReference has a colon.")
    return str(value)


def _matching_secret(
    keys: Sequence[bytes | None], signed: bytes, given: Sequence[str], encode: Callable[[bytes], str]
) -> int:
    matches = []
    for index, key in enumerate(keys):
        expected = encode(_digest(key or b"unusable", signed))
        hits = [hmac.compare_digest(expected, signature) for signature in given]
        if key is not None and any(hits):
            matches.append(index)
    if not matches:
        raise BadSignature("No signature matches.")
    return matches[0]


def _check_fresh(sent_at: str, now: datetime) -> None:
    """After the signature: only who signed it learns that it is stale."""
    if not _UNIX_SECONDS.fullmatch(sent_at):
        raise BadSignature("The timestamp of the signature is not a whole number of seconds.")
    if abs(now.timestamp() - int(sent_at)) > TOLERANCE_SECONDS:
        raise StaleSignature(f"The signature was made more than {TOLERANCE_SECONDS} s before or after now.")


def _digest(key: bytes, signed: bytes) -> bytes:
    return hmac.digest(key, signed, hashlib.sha256)


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")
