"""Tokens and webhook secrets: who is known, and how little a stranger learns."""

import pytest
from pydantic import SecretStr

from worker.http.credentials import Senders, Tokens
from worker.http.problems import Refusal
from worker.settings import ProviderSettings, SettingsError, TenantSettings

NEW, OLD, OTHER = "token-of-today-0001", "token-of-yesterday-1", "token-of-globex-001"


def account(name: str, adapter: str, secret: str) -> ProviderSettings:
    return ProviderSettings.model_validate(
        {"name": name, "adapter": adapter, "webhook_secrets": (SecretStr(secret),)}
    )


def two_tenants() -> dict[str, TenantSettings]:
    return {
        "acme": TenantSettings(
            name="acme",
            api_tokens=(SecretStr(NEW), SecretStr(OLD)),
            providers={"stripe": account("stripe", "stripe", "whsec_x")},
        ),
        "globex": TenantSettings(name="globex", api_tokens=(SecretStr(OTHER),)),
    }


@pytest.mark.parametrize(
    ("header", "tenant", "index"),
    [
        (f"Bearer {NEW}", "acme", 0),
        (f"bearer {OLD}", "acme", 1),
        (f"BEARER  {OTHER} ", "globex", 0),
    ],
)
def test_a_token_names_its_tenant_and_which_of_its_tokens_it_is(header: str, tenant: str, index: int) -> None:
    caller = Tokens(two_tenants()).caller([header])
    assert (caller.tenant.name, caller.token_index) == (tenant, index)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [""],
        ["Bearer"],
        ["Bearer "],
        ["Bearer wrong"],
        [f"Basic {NEW}"],
        [NEW],
        [f"Bearer {NEW[:-1]}"],
        [f"Bearer {NEW}x"],
        [f"Bearer {NEW} {OLD}"],
        [f"Bearer {NEW}", f"Bearer {NEW}"],
        ["Bearer " + "x" * 5000],
        ["Bearer \xff\xfe"],
    ],
)
def test_every_other_header_gets_the_same_answer(headers: list[str]) -> None:
    with pytest.raises(Refusal) as caught:
        Tokens(two_tenants()).caller(headers)
    assert caught.value.kind.code == "unauthenticated"
    assert caught.value.detail == "A valid token is expected: Authorization: Bearer <token>."
    assert "WWW-Authenticate" in caught.value.headers


def test_a_token_beyond_ascii_is_compared_as_bytes() -> None:
    tenants = {"acme": TenantSettings(name="acme", api_tokens=(SecretStr("gizli-anahtar-şifre"),))}
    sent_as_utf8 = "gizli-anahtar-şifre".encode().decode("latin-1")
    assert Tokens(tenants).caller([f"Bearer {sent_as_utf8}"]).token_index == 0


def test_no_tenant_and_no_token_lets_nobody_in() -> None:
    for tenants in ({}, {"acme": TenantSettings(name="acme")}):
        with pytest.raises(Refusal):
            Tokens(tenants).caller(["Bearer "])


def test_a_known_account_is_checked_with_its_own_secrets() -> None:
    sender = Senders(two_tenants()).sender("acme", "stripe")
    assert sender.webhook_secrets == ("whsec_x",)
    assert sender.account is not None


@pytest.mark.parametrize("tenant", ["globex", "nobody", ""])
def test_a_stranger_is_checked_like_a_known_account_but_with_random_secrets(tenant: str) -> None:
    senders = Senders(two_tenants())
    sender = senders.sender(tenant, "stripe")
    assert sender.account is None
    assert sender.adapter == "stripe"
    assert sender.webhook_secrets != Senders(two_tenants()).sender(tenant, "stripe").webhook_secrets


@pytest.mark.parametrize("tenant", ["acme", "globex", "nobody"])
def test_a_provider_that_nobody_has_is_unknown_whoever_is_asked_for(tenant: str) -> None:
    with pytest.raises(Refusal) as caught:
        Senders(two_tenants()).sender(tenant, "paypal")
    assert caught.value.kind.code == "unknown_provider"


@pytest.mark.parametrize(
    ("adapter", "secret"), [("adyen", "not hex"), ("sandbox", "whsec_***"), ("stripe", " ")]
)
def test_a_secret_that_can_never_match_is_refused_at_the_start(adapter: str, secret: str) -> None:
    tenants = {"acme": TenantSettings(name="acme", providers={"psp": account("psp", adapter, secret)})}
    with pytest.raises(SettingsError, match=r"tenants\.acme\.providers\.psp\.webhook_secrets"):
        Senders(tenants)


def test_an_account_without_webhooks_is_no_sender_unless_another_tenant_has_one_of_its_name() -> None:
    told = {"path": "/srv/bank/*.csv", "format": "csv"} | {
        "columns": {"record_id": "Id", "occurred_at": "At", "amount": "Amount", "currency_always": "EUR"}
    }
    bank = ProviderSettings.model_validate({"name": "stripe", "records": told})
    with_bank = TenantSettings(name="initech", providers={"stripe": bank})
    with pytest.raises(Refusal) as refused:
        Senders({"initech": with_bank}).sender("initech", "stripe")
    assert refused.value.kind.code == "unknown_provider"
    sender = Senders(two_tenants() | {"initech": with_bank}).sender("initech", "stripe")
    assert (sender.account, sender.adapter, len(sender.webhook_secrets)) == (None, "stripe", 1)
