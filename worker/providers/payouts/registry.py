"""The payout adapters by name. A vendor's SDK is imported with its adapter, and only when an account needs it."""

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from worker.providers.payouts.port import PayoutProvider, Rules
from worker.settings import ProviderSettings, SettingsError

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

RULES: Mapping[str, Rules] = {
    # ops/sandbox/README.md: "A key is kept for 24 hours"; visible to the look-up after 0 to 10 s
    "sandbox": Rules(key_valid_seconds=24 * 3600, settle_seconds=10),
    # docs.stripe.com/api/idempotent_requests: "removed from the system automatically after they're at least 24 hours
    # old". How soon a list shows a new payout is documented nowhere: 5 minutes is our own caution.
    "stripe": Rules(key_valid_seconds=24 * 3600, settle_seconds=300),
    # docs.adyen.com/development-resources/api-idempotency: valid "a minimum period of 7 days"; the delay as above
    "adyen": Rules(key_valid_seconds=7 * 24 * 3600, settle_seconds=300),
}

DEFAULT_URLS: Mapping[str, str] = {"stripe": "https://api.stripe.com"}
URL_EXAMPLES: Mapping[str, str] = {
    "sandbox": "http://127.0.0.1:8090",
    "adyen": "https://balanceplatform-api-live.adyen.com, or https://balanceplatform-api-test.adyen.com",
}


class _Module(Protocol):
    """What an adapter's module offers."""

    def build(
        self, account: ProviderSettings, *, base_url: str, api_key: str, timeout_seconds: float
    ) -> PayoutProvider:
        """The provider of one account. Connects nothing."""


def rules(adapter: str) -> Rules:
    """What the adapter's provider promises. KeyError for an adapter that does not exist."""
    return RULES[adapter]


def build(account: ProviderSettings) -> PayoutProvider:
    """The provider of one account; it connects when first used. Raises SettingsError when it cannot pay out."""
    if account.api_key is None:
        raise SettingsError(f"provider {account.name}: set api_key, such as env:NAME; payouts need it")
    return _module(account.adapter).build(
        account,
        base_url=base_url(account),
        api_key=account.api_key.get_secret_value(),
        timeout_seconds=account.timeout_seconds,
    )


def base_url(account: ProviderSettings, needed_by: str = "payouts need it") -> str:
    """Where the provider's API is, without a slash at its end. Raises SettingsError."""
    url = account.base_url or DEFAULT_URLS.get(account.adapter)
    if url is None:
        raise SettingsError(
            f"provider {account.name}: set base_url, such as {URL_EXAMPLES[account.adapter]}; {needed_by}"
        )
    parts = _parts(url)
    if parts is None:
        raise SettingsError(
            f"provider {account.name}: base_url must be https://HOST, without a login or a query"
        )
    if parts.scheme == "http" and account.adapter != "sandbox" and parts.hostname not in LOOPBACK:
        raise SettingsError(
            f"provider {account.name}: base_url must begin with https://; the key travels with it"
        )
    return url.rstrip("/")


def _parts(url: str) -> SplitResult | None:
    """The URL's parts; None when it cannot be an address to pay at."""
    try:
        parts = urlsplit(url)
        whole = parts.hostname and parts.port != 0
    except ValueError:
        return None
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    return parts if parts.scheme in ("http", "https") and whole and plain else None


def _module(adapter: str) -> _Module:
    try:
        module: _Module = import_module(f"worker.providers.payouts.{adapter}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in ("stripe", "Adyen"):
            raise
        raise SettingsError(
            f"the adapter {adapter} needs the package {error.name}: install ledgerbeat[{adapter}]"
        ) from None
    return module
