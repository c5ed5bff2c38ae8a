"""Building a provider from its settings: what is missing is said in a sentence, and nothing is imported for nothing."""

import subprocess
import sys
from typing import Any, Literal

import pytest
from pydantic import SecretStr

from worker.providers.payouts import registry
from worker.settings import ProviderSettings, SettingsError


def account(adapter: Literal["sandbox", "stripe", "adyen"], **more: Any) -> ProviderSettings:
    given: dict[str, Any] = {"api_key": SecretStr("k"), "webhook_secrets": (SecretStr("x"),)} | more
    return ProviderSettings(name="main", adapter=adapter, **given)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (account("sandbox"), "provider main: set base_url, such as http://127.0.0.1:8090"),
        (account("adyen"), "provider main: set base_url, such as https://balanceplatform-api-live.adyen.com"),
        (account("stripe", api_key=None), "provider main: set api_key"),
        (account("stripe", base_url="http://api.stripe.com"), "must begin with https://"),
        (account("adyen", base_url="http://10.0.0.1"), "must begin with https://"),
        (account("stripe", base_url="ftp://x"), "must be https://HOST"),
        (account("sandbox", base_url="http://"), "must be https://HOST"),
        (account("sandbox", base_url="http://x/?a=b"), "must be https://HOST"),
        (account("sandbox", base_url="http://[x"), "must be https://HOST"),
        (account("sandbox", base_url="http://x:99999"), "must be https://HOST"),
        (account("stripe", base_url="https://me:secret@x"), "must be https://HOST"),
        (account("adyen", base_url="https://x.example"), "set source_account"),
    ],
)
def test_what_is_missing_is_said(settings: ProviderSettings, words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        registry.build(settings)
    assert words in str(refused.value)


def test_stripe_needs_no_address() -> None:
    registry.build(account("stripe")).close()


def test_a_sandbox_may_speak_http_to_another_host() -> None:
    registry.build(account("sandbox", base_url="http://sandbox:8090/")).close()


@pytest.mark.parametrize(("adapter", "package"), [("stripe", "stripe"), ("adyen", "Adyen")])
def test_a_missing_sdk_is_named(
    monkeypatch: pytest.MonkeyPatch, adapter: Literal["stripe", "adyen"], package: str
) -> None:
    monkeypatch.delitem(sys.modules, f"worker.providers.payouts.{adapter}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    settings = account(adapter, base_url="https://x.example", source_account="BA1")
    with pytest.raises(SettingsError, match=rf"needs the package {package}: install ledgerbeat\[{adapter}\]"):
        registry.build(settings)


def test_an_sdk_is_imported_only_for_its_account() -> None:
    script = (
        "import sys; from worker.providers.payouts import registry, amounts; import worker.providers.payouts.sandbox;"
        "assert not {'stripe', 'Adyen'} & set(sys.modules), 'imported'"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300)


@pytest.mark.parametrize("adapter", ["sandbox", "stripe", "adyen"])
def test_every_adapter_has_its_rules(adapter: str) -> None:
    rules = registry.rules(adapter)
    assert rules.key_valid_seconds >= 24 * 3600
    assert 0 < rules.settle_seconds < rules.key_valid_seconds
