"""What a provider account may be told about payouts; what is wrong is refused with a sentence that names it."""

from pathlib import Path

import pytest

from tests.unit.settings.test_settings import SECRETS
from worker.providers.records.registry import files, has_source
from worker.settings import ProviderSettings, SettingsError, load_settings

ACCOUNT = """
[tenants.acme.providers.sandbox]
adapter = "{adapter}"
webhook_secrets = ["env:A_WH"]
{more}
"""


def load(folder: Path, more: str = "", adapter: str = "sandbox") -> ProviderSettings:
    path = folder / "ledgerbeat.toml"
    path.write_text(ACCOUNT.format(adapter=adapter, more=more))
    return load_settings({"LEDGERBEAT_CONFIG": str(path)} | SECRETS).tenants["acme"].providers["sandbox"]


def test_an_account_needs_to_be_told_nothing(tmp_path: Path) -> None:
    account = load(tmp_path)
    assert (account.timeout_seconds, account.settle_seconds, account.max_in_flight) == (10, None, 16)
    assert (account.payouts_per_second, account.source_account) == (None, None)


def test_an_account_may_be_told_everything(tmp_path: Path) -> None:
    told = "timeout_seconds = 2.5\nsettle_seconds = 60\nmax_in_flight = 4\npayouts_per_second = 0.5"
    account = load(tmp_path, told + '\nsource_account = "BA1"')
    assert (account.timeout_seconds, account.settle_seconds, account.max_in_flight) == (2.5, 60, 4)
    assert (account.payouts_per_second, account.source_account) == (0.5, "BA1")


@pytest.mark.parametrize(
    "line",
    [
        "timeout_seconds = 0", "timeout_seconds = 0.5", "timeout_seconds = 121", 'timeout_seconds = "soon"',
        "timeout_seconds = nan", "settle_seconds = -1", "settle_seconds = 1.5", "settle_seconds = 90000",
        "max_in_flight = 0", "max_in_flight = 1001", "max_in_flight = 1.5", "payouts_per_second = 0",
        "payouts_per_second = -1", "payouts_per_second = inf", "payouts_per_second = nan", 'source_account = ""',
        "source_account = 7",
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_by_name(tmp_path: Path, line: str) -> None:
    name = line.partition(" ")[0]
    with pytest.raises(SettingsError, match=rf"tenants\.acme\.providers\.sandbox\.{name}: ") as refused:
        load(tmp_path, line)
    assert "Traceback" not in str(refused.value)


@pytest.mark.parametrize(
    ("adapter", "more", "pays"),
    [
        ("sandbox", 'api_key = "env:A_KEY"\nbase_url = "http://127.0.0.1:1"', True),
        ("sandbox", 'api_key = "env:A_KEY"', False),
        ("sandbox", 'base_url = "http://127.0.0.1:1"', False),
        ("stripe", 'api_key = "env:A_KEY"', True),
        ("stripe", "", False),
    ],
)
def test_what_an_account_needs_to_pay_out(tmp_path: Path, adapter: str, more: str, pays: bool) -> None:
    assert load(tmp_path, more, adapter).pays_out is pays


BANK = """
[tenants.acme.providers.bank]
{more}
[tenants.acme.providers.bank.records]
path = "/srv/reports/bank/*.csv"
format = "csv"
columns = {{record_id = "Id", occurred_at = "Booked", amount = "Amount", currency_always = "EUR"}}
"""


def bank(folder: Path, more: str = "") -> ProviderSettings:
    path = folder / "ledgerbeat.toml"
    path.write_text(BANK.format(more=more))
    return load_settings({"LEDGERBEAT_CONFIG": str(path)} | SECRETS).tenants["acme"].providers["bank"]


@pytest.mark.parametrize("more", ["", 'adapter = "files"'])
def test_an_account_with_records_alone_needs_neither_adapter_nor_secrets(tmp_path: Path, more: str) -> None:
    account = bank(tmp_path, more)
    assert (account.adapter, account.webhook_secrets, account.pays_out) == ("files", (), False)
    assert has_source(account)
    assert files(account) == ()


@pytest.mark.parametrize(
    "more",
    ['webhook_secrets = ["env:A_WH"]', 'api_key = "env:A_KEY"', 'base_url = "https://api.bank.example"'],
)
def test_webhooks_and_an_api_need_an_adapter(tmp_path: Path, more: str) -> None:
    with pytest.raises(
        SettingsError, match=r"tenants\.acme\.providers\.bank: adapter is needed, one of sandbox"
    ):
        bank(tmp_path, more)


def test_an_account_of_nothing_at_all_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledgerbeat.toml"
    path.write_text("[tenants.acme.providers.bank]\n")
    with pytest.raises(SettingsError, match="adapter is needed"):
        load_settings({"LEDGERBEAT_CONFIG": str(path)})


def test_an_adapter_needs_the_secrets_of_its_webhooks_though_its_records_are_files(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="webhook_secrets is needed"):
        bank(tmp_path, 'adapter = "adyen"')
