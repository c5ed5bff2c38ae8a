"""What the sandbox provider is told: one frozen object, each bad value refused with a sentence."""

import base64
import binascii
from dataclasses import dataclass, field
from pathlib import Path

from models.errors import LedgerbeatError

SECRET_PREFIX = "whsec_"  # noqa: S105 - a prefix, not a secret
VISIBILITY_SECONDS_MAX = 10.0


class ConfigError(LedgerbeatError):
    """A setting cannot be used; the message says which and what to set."""


@dataclass(frozen=True)
class SandboxConfig:
    """Settings of one sandbox account.

    Times are seconds. `settle_seconds` is how long after `submitted` a payout is `paid`; None leaves that to
    `POST /payouts/{id}/settle`. `visibility_seconds` (0 to 10) is how long a new payout stays hidden from the
    look-up. `hang_seconds` is how long a "timeout" fault keeps a caller waiting before it answers 504.
    `retry_seconds` are the waits between the tries of one webhook: one try more than there are waits.
    """

    api_key: str = field(repr=False)
    webhook_url: str | None = None
    webhook_secret: str | None = field(default=None, repr=False)
    settle_seconds: float | None = 1.0
    visibility_seconds: float = 0.0
    hang_seconds: float = 120.0
    concurrency: int = 16
    retry_seconds: tuple[float, ...] = (0.2, 1.0, 3.0, 10.0)
    delivery_timeout_seconds: float = 15.0
    key_retention_seconds: int = 24 * 3600
    deposit_fee_basis_points: int = 0
    chargeback_fee_minor: int = 0
    body_limit_bytes: int = 64 * 1024
    state_file: Path | None = None

    def __post_init__(self) -> None:
        _require(bool(self.api_key.strip()), "api_key is empty: give the bearer key that callers will send")
        _require(self.concurrency >= 1, "concurrency must be at least 1")
        _require(
            0 <= self.visibility_seconds <= VISIBILITY_SECONDS_MAX,
            f"visibility_seconds must be 0 to 10, found {self.visibility_seconds}",
        )
        _require(
            self.settle_seconds is None or self.settle_seconds >= 0,
            "settle_seconds must be zero or more, or none to settle by hand",
        )
        if self.webhook_url is not None:
            _require(
                self.webhook_url.startswith(("http://", "https://")),
                "webhook_url must be an http(s) address, such as http://127.0.0.1:8080/v1/webhooks/acme/sandbox",
            )
            _require(self.webhook_secret is not None, "webhook_url is set and webhook_secret is not")
        if self.webhook_secret is not None:
            signing_key(self.webhook_secret)


def signing_key(secret: str) -> bytes:
    """The HMAC key inside a Standard Webhooks secret: `whsec_` and base64 of 24 to 64 bytes."""
    shape = "webhook_secret must be whsec_ followed by base64 of 24 to 64 bytes"
    _require(secret.startswith(SECRET_PREFIX), shape)
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError(shape) from None
    _require(24 <= len(key) <= 64, shape)
    return key


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise ConfigError(sentence)
