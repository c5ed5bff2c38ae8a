"""What a provider account may be told about its own payouts to us, and about kinds that are none of our business."""

from pathlib import Path

import pytest

from tests.unit.settings.test_provider_settings import load
from worker.settings import SettingsError
from worker.tenant_settings import TenantSettings, _refuse_two_of_one_bank

FILES = """
[tenants.acme.providers.sandbox.records]
path = "/srv/reports/*.csv"
format = "{format}"
{more}
"""
COLUMNS = """
[tenants.acme.providers.sandbox.records.columns]
record_id = "Id"
occurred_at = "At"
amount = "Amount"
currency_always = "EUR"
kind = "Type"
kinds = {SALE = "deposit", SWEEP = "own_transfer", CARRIED = "ignore"}
"""


def test_an_account_needs_to_be_told_nothing(tmp_path: Path) -> None:
    account = load(tmp_path)
    assert (account.bank_account, account.record_kinds, account.grace_seconds, account.is_bank) == (
        None, {}, None, False,
    )  # fmt: skip


def test_an_account_may_be_told_everything(tmp_path: Path) -> None:
    kinds = (
        'record_kinds = {Balancetransfer = "other", MiscCosts = "ignore", DepositCorrection = "own_transfer"}'
    )
    account = load(tmp_path, f'bank_account = "main"\ngrace_days = 2\n{kinds}\n' + FILES.format(
        format="adyen_settlement", more=""))  # fmt: skip
    assert (account.bank_account, account.grace_seconds) == ("main", 2 * 86_400)
    assert account.record_kinds["DepositCorrection"] == "own_transfer"


def test_columns_say_the_kinds_themselves(tmp_path: Path) -> None:
    account = load(tmp_path, FILES.format(format="csv", more=COLUMNS))
    assert account.records is not None
    assert account.records.columns is not None
    assert account.records.columns.kinds["CARRIED"] == "ignore"


def test_a_bank_waits_for_days_unless_it_is_told_how_long(tmp_path: Path) -> None:
    bank = load(tmp_path, 'bank_account = "main"').model_copy(update={"adapter": "files"})
    assert (bank.is_bank, bank.grace_seconds) == (True, 5 * 86_400)
    assert bank.model_copy(update={"grace_days": 0}).grace_seconds == 0


def test_two_accounts_are_not_one_bank(tmp_path: Path) -> None:
    bank = load(tmp_path, 'bank_account = "main"').model_copy(update={"adapter": "files", "name": "bank"})
    second, provider = bank.model_copy(update={"name": "second"}), load(tmp_path, 'bank_account = "main"')
    found = {"bank": bank, "sandbox": provider}
    _refuse_two_of_one_bank(TenantSettings(name="acme").model_copy(update={"providers": found}), "here")
    both = TenantSettings(name="acme").model_copy(update={"providers": found | {"second": second}})
    with pytest.raises(
        SettingsError, match=r"providers\.bank and providers\.second are both the bank account main"
    ):
        _refuse_two_of_one_bank(both, "here")


@pytest.mark.parametrize(
    "line",
    [
        'bank_account = ""', 'bank_account = "Main account"', 'bank_account = "a:b"', "grace_days = -1",
        "grace_days = 11", "grace_days = 1.5", 'record_kinds = {Fee = "payout"}', 'record_kinds = {Fee = "deposit"}',
        'record_kinds = ["ignore"]',
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_by_name(tmp_path: Path, line: str) -> None:
    name = line.partition(" ")[0]
    with pytest.raises(SettingsError, match=rf"tenants\.acme\.providers\.sandbox\.{name}"):
        load(tmp_path, line)


def test_kinds_are_declared_in_one_place(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="say it there, as kinds of the column kind"):
        load(tmp_path, 'record_kinds = {SALE = "ignore"}\n' + FILES.format(format="csv", more=COLUMNS))
