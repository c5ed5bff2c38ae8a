"""Provider accounts: the rows say what the settings say, and people pause and resume them."""

from dataclasses import replace

import pytest
from pydantic import SecretStr

from models.provider_accounts import AccountTerms, load_account, sync_accounts
from tasks.payouts.accounts import pause_providers, resume_providers
from tests.integration.payouts.cashier import Cashier
from worker.catalogue.payouts import ProviderPause
from worker.database import Transaction
from worker.providers.payouts.accounts import PayoutAccounts
from worker.resources import sync_settings
from worker.settings import ProviderSettings, Settings, TenantSettings

A = AccountTerms("acme", "sandbox", "sandbox", max_in_flight=3, per_second=2.5)
B = AccountTerms("globex", "stripe", "stripe")
SECRET = (SecretStr("whsec_x"),)


def synced(
    transaction: Transaction, *terms: AccountTerms
) -> dict[tuple[str, str], tuple[bool, int, float | None]]:
    with transaction() as session:
        sync_accounts(session, terms)
        found = [load_account(session, *place) for place in (("acme", "sandbox"), ("globex", "stripe"))]
    return {
        (one.tenant, one.provider): (one.enabled, one.max_in_flight, one.per_second) for one in found if one
    }


def test_the_rows_follow_the_settings(transaction: Transaction, tenant: str) -> None:
    first = {("acme", "sandbox"): (True, 3, 2.5), ("globex", "stripe"): (True, 16, None)}
    assert synced(transaction, A, B) == first
    assert synced(transaction, A, B) == first
    assert synced(transaction, replace(A, per_second=None)) == {
        ("acme", "sandbox"): (True, 3, None),
        ("globex", "stripe"): (False, 16, None),
    }
    assert synced(transaction, A, B) == first


def test_no_settings_at_all_change_nothing(transaction: Transaction, tenant: str) -> None:
    synced(transaction, A)
    assert synced(transaction) == {("acme", "sandbox"): (True, 3, 2.5)}


def test_a_pause_and_a_breaker_outlive_a_restart(transaction: Transaction, cashier: Cashier) -> None:
    cashier.rows(
        "UPDATE provider_accounts SET paused_at = :now, breaker = 'open', probe_at = :now RETURNING tenant",
        now=cashier.now,
    )
    synced(transaction, A)
    with transaction() as session:
        account = load_account(session, "acme", "sandbox")
    assert account is not None
    assert (account.paused_at, account.breaker, account.is_usable) == (cashier.now, "open", False)


def settings(**providers: ProviderSettings) -> Settings:
    acme = TenantSettings(name="acme", notify_url=None, providers=providers)
    return Settings(tenants={"acme": acme, "globex": TenantSettings(name="globex")})


def account(adapter: str, **others: object) -> ProviderSettings:
    values = {"name": adapter, "adapter": adapter, "webhook_secrets": SECRET, **others}
    return ProviderSettings.model_validate(values)


@pytest.mark.parametrize(
    ("given", "enabled"),
    [
        (account("sandbox", api_key=SecretStr("k"), base_url="http://127.0.0.1:1"), True),
        (account("sandbox", api_key=SecretStr("k")), False),
        (account("sandbox", base_url="http://127.0.0.1:1"), False),
        (account("stripe", api_key=SecretStr("k")), True),
        (account("adyen", api_key=SecretStr("k")), False),
    ],
)
def test_an_account_that_cannot_pay_out_is_not_enabled(
    transaction: Transaction, tenant: str, given: ProviderSettings, enabled: bool
) -> None:
    with transaction() as session:
        sync_settings(session, settings(**{given.name: given}))
        found = load_account(session, "acme", given.name)
    assert found is not None
    assert found.enabled is enabled


def test_an_account_of_files_alone_refuses_payouts(transaction: Transaction, cashier: Cashier) -> None:
    columns = {"record_id": "Id", "occurred_at": "At", "amount": "Amount", "currency_always": "EUR"}
    records = {"path": "/srv/bank/*.csv", "format": "csv", "columns": columns}
    bank = ProviderSettings.model_validate({"name": "bank", "records": records})
    with transaction() as session:
        sync_settings(session, settings(bank=bank))
    cashier.fund("ada", 500)
    [outcome] = cashier.do("payouts.request", cashier.asking(100, provider="bank"))
    assert (outcome["state"], outcome["code"]) == ("refused", "provider_not_configured")
    assert PayoutAccounts(settings(bank=bank).tenants).find("acme", "bank") is None


def test_accounts_are_built_once_and_only_when_asked_for() -> None:
    good = account("sandbox", api_key=SecretStr("k"), base_url="http://127.0.0.1:1", settle_seconds=3)
    bad = account("stripe", api_key=SecretStr("k"), base_url="http://example.com")
    accounts = PayoutAccounts(settings(sandbox=good, stripe=bad).tenants)
    found = accounts.find("acme", "sandbox")
    assert found is not None
    assert found is accounts.find("acme", "sandbox")
    assert (found.rules.settle_seconds, found.rules.key_valid_seconds, found.timeout_seconds) == (
        3,
        86400,
        10,
    )
    assert accounts.find("acme", "stripe") is None, "its address is not safe"
    assert accounts.find("acme", "adyen") is None
    assert accounts.find("nobody", "sandbox") is None
    accounts.close()


def test_people_pause_and_resume(cashier: Cashier) -> None:
    from uuid import uuid4

    from models.jobs.claim import Job
    from models.jobs.outcomes import Done, Refused
    from models.tenants import load_tenant
    from tasks.intake.port import Work

    def ask(handler: object, provider: str) -> object:
        args = ProviderPause(provider=provider, actor="ops:dana", reason="maintenance")
        job = Job(uuid4(), 1, "acme", "providers.pause", "app", "k", {}, 0, cashier.now, None)
        with cashier.transaction() as session:
            tenant = load_tenant(session, "acme")
            [outcome] = handler(session, [Work(job, args)], tenant=tenant, now=cashier.now)  # type: ignore[operator]
        return outcome

    def paused() -> object:
        [row] = cashier.rows(
            "SELECT paused_at, paused_by FROM provider_accounts WHERE (tenant, provider) = ('acme', 'sandbox')"
        )
        return row["paused_at"], row["paused_by"]

    assert ask(pause_providers, "sandbox") == Done({"provider": "sandbox", "paused": True, "changed": True})
    assert paused() == (cashier.now, "ops:dana")
    assert ask(pause_providers, "sandbox") == Done({"provider": "sandbox", "paused": True, "changed": False})
    assert ask(resume_providers, "sandbox") == Done({"provider": "sandbox", "paused": False, "changed": True})
    assert paused() == (None, None)
    assert ask(pause_providers, "nowhere") == Refused("provider_not_configured", {"provider": "nowhere"})
    rows = cashier.rows(
        "SELECT action, actor, subject, reason FROM audit_events WHERE action LIKE 'providers.%' ORDER BY id"
    )
    assert [row["action"] for row in rows] == ["providers.pause", "providers.pause", "providers.resume"]
    assert {(row["actor"], row["subject"], row["reason"]) for row in rows} == {
        ("ops:dana", "provider:sandbox", "maintenance")
    }
