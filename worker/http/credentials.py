"""Whose token is this? Whose webhook secrets? Answers that take the same time and say the same to every stranger."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from worker.http.problems import Refusal, unauthenticated
from worker.providers.registry import secret_problem
from worker.settings import ProviderSettings, SettingsError, TenantSettings

TOKEN_LENGTH_MAX = 1_024


@dataclass(frozen=True, slots=True)
class Caller:
    """A tenant, and which of its tokens it used (0 is the first of the configuration)."""

    tenant: TenantSettings
    token_index: int


class Tokens:
    """All tenants' API tokens, found by a keyed digest.

    The key is random and of this process only, so no one can tell by the time of an answer how much of a guess is
    right, and the tokens themselves are not kept.
    """

    def __init__(self, tenants: Mapping[str, TenantSettings]) -> None:
        self._key = secrets.token_bytes(32)
        self._callers = {
            self._digest(token.get_secret_value().encode()): Caller(tenant, index)
            for tenant in tenants.values()
            for index, token in reversed(list(enumerate(tenant.api_tokens)))
        }

    def caller(self, authorization: Sequence[str]) -> Caller:
        """Who sent these `Authorization` headers. Raises Refusal(unauthenticated), the same for every reason."""
        found = self._callers.get(self._digest(_bearer_token(authorization)))
        if found is None:
            raise unauthenticated()
        return found

    def _digest(self, token: bytes) -> bytes:
        return hmac.digest(self._key, token, hashlib.sha256)


def _bearer_token(authorization: Sequence[str]) -> bytes:
    """The token's bytes (Starlette reads headers as Latin-1), or b"", which is nobody's."""
    if len(authorization) != 1 or len(authorization[0]) > TOKEN_LENGTH_MAX:
        return b""
    scheme, _, token = authorization[0].partition(" ")
    return token.strip(" ").encode("latin-1") if scheme.lower() == "bearer" else b""


@dataclass(frozen=True, slots=True)
class Sender:
    """The provider account that a webhook claims to come from; its secrets decide."""

    adapter: str
    webhook_secrets: tuple[str, ...]
    account: ProviderSettings | None
    """None for a stranger: the secrets are then random, so that its signature is checked, in vain, like any other."""
    tenant: str = ""


class Senders:
    """The provider accounts that send webhooks, by tenant and name.

    A name that no tenant has is `unknown_provider`. Everything else that cannot be right (no such tenant, a tenant
    without this provider, a wrong signature) gets one answer, or the answers would list the tenants.
    """

    def __init__(self, tenants: Mapping[str, TenantSettings]) -> None:
        self._known: dict[tuple[str, str], Sender] = {}
        self._strangers: dict[str, Sender] = {}
        for tenant in tenants.values():
            for account in (one for one in tenant.providers.values() if one.webhook_secrets):
                self._known[tenant.name, account.name] = _sender(tenant.name, account)
                self._strangers[account.name] = Sender(account.adapter, _random_secrets(account), None)

    def sender(self, tenant: str, provider: str) -> Sender:
        """Whom to believe. Raises Refusal(unknown_provider)."""
        stranger = self._strangers.get(provider)
        if stranger is None:
            raise Refusal("unknown_provider", "No provider account of this name is configured.")
        return self._known.get((tenant, provider), stranger)


def _sender(tenant: str, account: ProviderSettings) -> Sender:
    values = tuple(secret.get_secret_value() for secret in account.webhook_secrets)
    for value in values:
        if problem := secret_problem(account.adapter, value):
            raise SettingsError(f"tenants.{tenant}.providers.{account.name}.webhook_secrets: {problem}")
    return Sender(account.adapter, values, account, tenant)


def _random_secrets(account: ProviderSettings) -> tuple[str, ...]:
    """As many as the real ones, in hexadecimal, which every adapter can use as a key."""
    return tuple(secrets.token_hex(32) for _ in account.webhook_secrets)
