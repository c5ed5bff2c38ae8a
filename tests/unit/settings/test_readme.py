"""The README's settings are read by the code that reads yours."""

import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ops.bootstrap import ROOT
from tests.unit.records.reports import EVER, settled
from tests.unit.records.reports import adyen_file as write_adyen
from worker.providers.records.port import Record
from worker.providers.records.registry import file_source, files
from worker.settings import Settings, TenantSettings, load_settings
from worker.sources.port import BadRow, OpeningRow, SourceFailed
from worker.sources.registry import check_source, row_source

README = (ROOT / "README.md").read_text()
HEX = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
ACCOUNTS = """
[tenants.acme.providers.adyen]
adapter = "adyen"
webhook_secrets = ["env:ADYEN"]
"""
ROWS = (
    "Id;Booked;Amount;Currency;Type;Our reference;Their id;Fee;Status",
    "r-1;14.03.2026 12:30;12,50;EUR;SALE;order-1;tx-1;0,25;OK",
    "r-2;14.03.2026 12:31;2,50;EUR;REFUND;order-1;tx-2;;OK",
    "r-3;14.03.2026 12:32;2,50;EUR;REFUND;order-1;tx-3;;REVERSED",
    "r-4;14.03.2026 12:33;1,00;EUR;SOMETHING;;;;OK",
)


def example(section: str, number: int = 0) -> str:
    """The TOML that stands under this heading, the first or a later one."""
    [_, text] = re.split(rf"^#+ {section}$", README, flags=re.MULTILINE)
    found: list[str] = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return found[number]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Those of the chapter on records, whose files lie in a folder of the test's."""
    told = ACCOUNTS + example("Where records come from").replace("/srv/reports", str(tmp_path))
    (tmp_path / "ledgerbeat.toml").write_text(told)
    return load_settings({"LEDGERBEAT_CONFIG": str(tmp_path / "ledgerbeat.toml"), "ADYEN": HEX})


def test_the_records_of_the_readme_can_be_read(settings: Settings, tmp_path: Path) -> None:
    bank = settings.tenants["acme"].providers["bank"]
    assert (bank.adapter, bank.webhook_secrets, bank.pays_out) == ("files", (), False)
    (tmp_path / "bank").mkdir()
    (tmp_path / "bank" / "2026-03-14.csv").write_text("\n".join(ROWS))
    [source] = files(bank)
    found = list(source.read(EVER))
    assert all(isinstance(one, Record) for one in found), found
    records = [one for one in found if isinstance(one, Record)]
    assert [(one.kind, one.amount_minor, one.fee_minor, one.reference) for one in records] == [
        ("deposit", 1250, 25, "order-1"),
        ("refund", -250, 0, "order-1"),
        ("refund", 250, 0, "order-1"),
        ("other", 100, 0, None),
    ]
    assert records[0].occurred_at == datetime(2026, 3, 14, 9, 30, tzinfo=UTC)


def test_the_settlements_of_the_readme_can_be_read(tmp_path: Path) -> None:
    secrets = {"adyen": HEX, "stripe": "whsec_x", "bank": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    told = example("Settlement to the bank")
    for name in secrets:
        adapter = "sandbox" if name == "bank" else name
        told = told.replace(
            f"[tenants.acme.providers.{name}]\n",
            f'[tenants.acme.providers.{name}]\nadapter = "{adapter}"\nwebhook_secrets = ["env:{name.upper()}"]\n',
        )
    (tmp_path / "ledgerbeat.toml").write_text(told)
    env = {"LEDGERBEAT_CONFIG": str(tmp_path / "ledgerbeat.toml")}
    providers = (
        load_settings(env | {name.upper(): one for name, one in secrets.items()}).tenants["acme"].providers
    )
    assert {one.bank_account for one in providers.values()} == {"main"}
    assert providers["bank"].grace_days == 5
    assert providers["adyen"].record_kinds == {"ManualCorrected": "fee", "MatchedStatement": "ignore"}
    assert providers["bank"].records is not None
    assert providers["bank"].records.columns is not None
    assert providers["bank"].records.columns.kinds["INCOMING"] == "own_transfer"


def test_adyens_report_needs_no_columns(settings: Settings, tmp_path: Path) -> None:
    told = settings.tenants["acme"].providers["adyen"].records
    assert told is not None
    path = write_adyen(tmp_path, [settled()])
    source = file_source(told.format, path, told.columns, ZoneInfo(told.timezone))
    [record] = source.read(EVER)
    assert isinstance(record, Record)
    assert (record.kind, record.amount_minor, record.fee_minor) == ("deposit", 1250, 40)


def test_the_mapping_of_the_readme_reads_a_row(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    rows = (
        "No;Customer;Amount;Currency;Time;Type;To",
        "1;şule;1.250,50;TRY;14.03.2026 12:00:00;DEPOSIT;",
        "2;ada;1.250,50;TRY;14.03.2026 12:00:00;DEPOSIT;",
        "3;ada;0,50;TRY;14.03.2026 12:01:00;PURCHASE;",
        "4;ada;1,00;TRY;14.03.2026 12:02:00;GIFT;bob",
    )
    path.write_bytes("\n".join(rows).encode("cp1254"))
    source = {"type": "file", "path": str(path), "mapping": tomllib.loads(example("Backfills"))}
    page = row_source(TenantSettings(name="acme"), source, "postings").page(None, 10)
    told = [
        one.code if isinstance(one, BadRow) else (one.amount_minor, one.owner)
        for one in page.rows
        if not isinstance(one, OpeningRow)
    ]
    assert told == ["bad_owner", (125_050, "ada"), (-50, "ada"), (100, "ada")]


def test_the_sources_of_the_readme_can_be_set(tmp_path: Path) -> None:
    told = example("Backfills", number=1)
    stripe = '[tenants.acme.providers.stripe]\nadapter = "stripe"\nwebhook_secrets = ["env:STRIPE"]\n'
    (tmp_path / "ledgerbeat.toml").write_text(stripe + told)
    env = {"STRIPE": "whsec_test", "OLD_WALLET_URL": "postgresql://reader@db/old"}
    settings = load_settings({"LEDGERBEAT_CONFIG": str(tmp_path / "ledgerbeat.toml")} | env)
    assert list(settings.tenants["acme"].backfills) == ["history", "old", "webhooks"]
    assert settings.tenants["acme"].backfills["history"].path == "/srv/legacy/history.csv"
    with pytest.raises(SourceFailed, match=r"history\.csv is not a file"):
        check_source(settings.tenants["acme"], {"type": "file", "name": "history"}, "postings")
