"""What `up`, the demo and the tests use when nothing is configured: one tenant with random secrets under a home.

Never for production: the secrets are files beside the data. They are made once and kept, so that addresses, tokens
and signatures go on working after a restart.
"""

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path

TENANT = "demo"


def standard_webhook_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


SECRETS: dict[str, Callable[[], str]] = {
    "api-token": lambda: secrets.token_urlsafe(32),
    "sandbox-api-key": lambda: secrets.token_urlsafe(32),
    "sandbox-webhook-secret": standard_webhook_secret,
    "stripe-webhook-secret": lambda: "whsec_" + secrets.token_hex(16),
    "adyen-webhook-secret": lambda: secrets.token_hex(32),
    "flower-password": lambda: secrets.token_urlsafe(12),
}
"""Each secret in its own form: Adyen's key is hexadecimal, Stripe's is text, the sandbox's is base64."""

CONFIG = """\
# Written by Ledgerbeat for development, and again at every start: copy it before you change it, and name the copy
# in LEDGERBEAT_CONFIG.
[tenants.{tenant}]
timezone = "UTC"
api_tokens = ["file:secrets/api-token"]

[tenants.{tenant}.providers.sandbox]
adapter = "sandbox"
base_url = "{sandbox_url}"
api_key = "file:secrets/sandbox-api-key"
webhook_secrets = ["file:secrets/sandbox-webhook-secret"]
timeout_seconds = 3

[tenants.{tenant}.providers.stripe]
adapter = "stripe"
webhook_secrets = ["file:secrets/stripe-webhook-secret"]

[tenants.{tenant}.providers.adyen]
adapter = "adyen"
webhook_secrets = ["file:secrets/adyen-webhook-secret"]
"""


def write_development_config(home: Path, sandbox_url: str) -> Path:
    """Write `home/development.toml` with its secrets in files beside it, and return its path."""
    for name in SECRETS:
        development_secret(home, name)
    path = home / "development.toml"
    written = path.with_suffix(".new")
    written.write_text(CONFIG.format(tenant=TENANT, sandbox_url=sandbox_url))
    written.rename(path)
    return path


def development_secret(home: Path, name: str) -> str:
    """The secret of that name, made when there is none: `home/secrets/<name>`, which only its owner may read."""
    folder = home / "secrets"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / name
    if not path.exists():
        partial = folder / f".{name}.{os.getpid()}"
        partial.touch(mode=0o600)
        partial.write_text(SECRETS[name]() + "\n")
        partial.rename(path)
    return path.read_text().strip()
