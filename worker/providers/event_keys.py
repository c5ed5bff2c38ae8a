"""The idempotency key of a provider's event: one for it, whether its webhook brought it or a list did."""

import hashlib
import json
from typing import Any

KEY_LENGTH_MAX = 255
DIGEST_LENGTH = 12

_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def event_job_key(provider: str, event_key: str, event_args: dict[str, Any]) -> str:
    """Twice the same event is one job; the same id with another content is news, and another job."""
    digest = hashlib.sha256(_canonical(event_args).encode()).hexdigest()[:DIGEST_LENGTH]
    return f"{provider}:{event_key}:{digest}"[:KEY_LENGTH_MAX]
