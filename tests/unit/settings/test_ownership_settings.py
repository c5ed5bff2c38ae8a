"""Whose events are ours, as the settings say it; two accounts share no webhook secret."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from worker.providers.ownership import Ownership
from worker.settings import SettingsError, TenantSettings, load_settings

HEX = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
SECRETS = {
    "ONE": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "TWO": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
    "ONE_BARE": "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "HEX": HEX,
    "HEX_LOWER": HEX.lower(),
    "HEX_OTHER": HEX[::-1],
}


def load(folder: Path, accounts: Mapping[str, str]) -> dict[str, TenantSettings]:
    """`accounts`: tenant/provider -> the lines of its table."""
    tables = [
        f"[tenants.{name.split('/')[0]}.providers.{name.split('/')[1]}]\n{lines}\n"
        for name, lines in accounts.items()
    ]
    path = folder / "ledgerbeat.toml"
    path.write_text("\n".join(tables))
    return load_settings({"LEDGERBEAT_CONFIG": str(path)} | SECRETS).tenants


def lines(adapter: str, *secrets: str, more: str = "") -> str:
    listed = ", ".join(f'"env:{secret}"' for secret in secrets)
    return f'adapter = "{adapter}"\nwebhook_secrets = [{listed}]\n{more}'


def ownership(folder: Path, adapter: str, more: str = "") -> Ownership:
    secret = "HEX" if adapter == "adyen" else "ONE"
    return load(folder, {"acme/main": lines(adapter, secret, more=more)})["acme"].providers["main"].ownership


@pytest.mark.parametrize("adapter", ["sandbox", "stripe", "adyen"])
def test_live_mode_and_the_account_itself_are_ours_unless_something_else_is_said(
    tmp_path: Path, adapter: str
) -> None:
    assert ownership(tmp_path, adapter) == Ownership(live=True, accounts=frozenset(), merchant_accounts=None)


@pytest.mark.parametrize(
    ("adapter", "more", "expected"),
    [
        ("stripe", "live = false", Ownership(live=False)),
        ("stripe", 'account = "acct_1"', Ownership(accounts=frozenset({"acct_1"}))),
        ("stripe", 'account = "acct_1"\naccounts = ["acct_2", "acct_3"]',
         Ownership(accounts=frozenset({"acct_1", "acct_2", "acct_3"}))),
        ("stripe", 'source_account = "acct_1"', Ownership(accounts=frozenset({"acct_1"}))),
        ("adyen", 'merchant_accounts = ["AcmeECOM"]', Ownership(merchant_accounts=frozenset({"AcmeECOM"}))),
        ("adyen", "merchant_accounts = []", Ownership(merchant_accounts=frozenset())),
        ("adyen", 'source_account = "BA1"', Ownership()),
    ],
)  # fmt: skip
def test_what_is_said_is_what_is_compared(
    tmp_path: Path, adapter: str, more: str, expected: Ownership
) -> None:
    assert ownership(tmp_path, adapter, more) == expected


@pytest.mark.parametrize(
    ("adapter", "more", "name"),
    [
        ("stripe", 'live = "no"', "live"),
        ("stripe", "live = 0", "live"),
        ("stripe", 'account = "ACCT_1"', "account"),
        ("stripe", 'account = "acct_1/ba_2"', "account"),
        ("stripe", 'account = ""', "account"),
        ("stripe", 'accounts = "acct_1"', "accounts"),
        ("stripe", "accounts = [7]", "accounts"),
        ("adyen", 'merchant_accounts = [""]', "merchant_accounts"),
        ("adyen", 'merchant_accounts = "AcmeECOM"', "merchant_accounts"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(tmp_path: Path, adapter: str, more: str, name: str) -> None:
    with pytest.raises(SettingsError, match=rf"tenants\.acme\.providers\.main\.{name}"):
        ownership(tmp_path, adapter, more)


@pytest.mark.parametrize(
    ("adapter", "more", "sentence"),
    [
        ("adyen", 'account = "acct_1"', "account is a setting of the adapter stripe"),
        ("sandbox", 'accounts = ["acct_1"]', "accounts is a setting of the adapter stripe"),
        ("stripe", 'merchant_accounts = ["X"]', "merchant_accounts is a setting of the adapter adyen"),
    ],
)
def test_what_belongs_to_another_adapter_is_refused(
    tmp_path: Path, adapter: str, more: str, sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        ownership(tmp_path, adapter, more)


class TestSeveralAccountsAtAdyen:
    NAMED = 'merchant_accounts = ["AcmeECOM"]'

    @pytest.mark.parametrize(("first", "second"), [("", ""), (NAMED, ""), ("", NAMED)])
    def test_each_of_a_tenant_must_say_its_merchant_accounts(
        self, tmp_path: Path, first: str, second: str
    ) -> None:
        accounts = {
            "acme/web": lines("adyen", "HEX", more=first),
            "acme/pos": lines("adyen", "HEX_OTHER", more=second),
        }
        with pytest.raises(
            SettingsError, match=r'several accounts at Adyen: set merchant_accounts = \["\.\.\."\]'
        ):
            load(tmp_path, accounts)

    def test_they_do(self, tmp_path: Path) -> None:
        told = lines("adyen", "HEX_OTHER", more="merchant_accounts = []")
        assert load(tmp_path, {"acme/web": lines("adyen", "HEX", more=self.NAMED), "acme/pos": told})

    def test_those_of_other_tenants_do_not_count(self, tmp_path: Path) -> None:
        assert load(
            tmp_path, {"acme/adyen": lines("adyen", "HEX"), "globex/adyen": lines("adyen", "HEX_OTHER")}
        )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lines("sandbox", "ONE"), lines("sandbox", "ONE")),
        (lines("sandbox", "ONE"), lines("sandbox", "ONE_BARE")),
        (lines("sandbox", "TWO", "ONE"), lines("sandbox", "ONE")),
        (lines("stripe", "ONE"), lines("stripe", "ONE", "TWO")),
        (lines("stripe", "ONE"), lines("sandbox", "ONE")),
        (lines("adyen", "HEX"), lines("adyen", "HEX_LOWER")),
    ],
)
@pytest.mark.parametrize("other", ["acme/second", "globex/first"])
def test_two_accounts_share_no_webhook_secret(tmp_path: Path, first: str, second: str, other: str) -> None:
    more = "merchant_accounts = []" if "adyen" in first else ""
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, {"acme/first": first + more, other: second + more})
    tenant, provider = other.split("/")
    sentence = (
        f"tenants.acme.providers.first and tenants.{tenant}.providers.{provider} share a webhook secret"
    )
    assert str(refused.value).endswith(sentence)
    assert not any(secret in str(refused.value) for secret in SECRETS.values())


def test_one_account_may_name_a_secret_twice(tmp_path: Path) -> None:
    """Its place for the new one and its place for the old one, while nothing is rotated."""
    assert load(tmp_path, {"acme/main": lines("stripe", "ONE", "ONE"), "globex/main": lines("stripe", "TWO")})


def test_types_of_events_that_move_no_money_may_be_listed(tmp_path: Path) -> None:
    found = ownership(tmp_path, "stripe", 'ignored_events = ["charge.teleported"]')
    assert found.ignored_events == {"charge.teleported"}


def test_a_type_that_is_no_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"providers\.main\.ignored_events"):
        ownership(tmp_path, "stripe", 'ignored_events = ["all of them"]')
