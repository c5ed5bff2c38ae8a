"""Which source an account has: what its settings say, and what they may not."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr

from tests.unit.records.reports import EVER, SETTLED, adyen_file, columns
from tests.unit.settings.test_settings import SECRETS
from worker.providers.records import registry
from worker.providers.records.port import Record, SourceFailed
from worker.providers.records.registry import file_source, files, has_source, source, sources
from worker.settings import ProviderSettings, SettingsError, load_settings

ACCOUNT = """
[tenants.acme.providers.adyen]
adapter = "adyen"
webhook_secrets = ["env:A_WH"]
[tenants.acme.providers.adyen.records]
{records}
"""


def load(folder: Path, records: str) -> ProviderSettings:
    path = folder / "ledgerbeat.toml"
    path.write_text(ACCOUNT.format(records=records))
    told = load_settings({"LEDGERBEAT_CONFIG": str(path)} | SECRETS | {"A_WH": "00ff"})
    return told.tenants["acme"].providers["adyen"]


def reports(folder: Path) -> ProviderSettings:
    return load(
        folder, f'path = "{folder}/*.csv"\nformat = "adyen_settlement"\ntimezone = "Europe/Amsterdam"'
    )


def test_every_file_that_the_pattern_matches_is_a_source(tmp_path: Path) -> None:
    told = reports(tmp_path)
    assert files(told) == ()
    adyen_file(tmp_path, [SETTLED]).rename(tmp_path / "b.csv")
    adyen_file(tmp_path, [SETTLED]).rename(tmp_path / "a.csv")
    (tmp_path / "folder.csv").mkdir()
    assert [one.name for one in files(told)] == ["a.csv", "b.csv"]
    assert len({one.digest for one in files(told)}) == 1
    assert len(sources(told)) == 2


def test_a_map_of_columns_comes_from_the_settings(tmp_path: Path) -> None:
    records = (
        f'path = "{tmp_path}/*.jsonl"\nformat = "jsonl"\n[tenants.acme.providers.adyen.records.columns]\n'
        'record_id = "id"\noccurred_at = "at"\namount = "amount"\ncurrency_always = "EUR"\n'
        'kind = "kind"\nkinds = { sale = "deposit" }'
    )
    (tmp_path / "a.jsonl").write_text('{"id": "r1", "at": "2026-11-20", "amount": 5, "kind": "sale"}')
    (one,) = files(load(tmp_path, records))
    (row,) = one.read(EVER)
    assert isinstance(row, Record)
    assert (row.kind, row.amount_minor, row.currency) == ("deposit", 5, "EUR")


@pytest.mark.parametrize(
    ("records", "sentence"),
    [
        ('path = "reports/*.csv"\nformat = "adyen_settlement"', "records: path must be absolute"),
        ('path = "/srv/*.csv"\nformat = "xml"', "records.format: Input should be"),
        ('path = "/srv/*.csv"\nformat = "csv"', "records: the format csv needs the table columns"),
        ('path = "/srv/*.csv"', "records.format: Field required"),
        (
            'path = "/srv/*.csv"\nformat = "adyen_settlement"\ntimezone = "Mars/Olympus"',
            "records.timezone: 'Mars/Olympus' is not an IANA time zone",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path: Path, records: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=f"tenants.acme.providers.adyen.{sentence}"):
        load(tmp_path, records)


def test_adyen_has_reports_only(tmp_path: Path) -> None:
    told = reports(tmp_path).model_copy(update={"records": None, "api_key": SecretStr("k")})
    with pytest.raises(SettingsError, match="Adyen's records come as files"):
        source(told)
    with pytest.raises(SettingsError, match="set records with a path"):
        files(told)


def test_who_can_be_reconciled(tmp_path: Path) -> None:
    with_files = reports(tmp_path)
    without = with_files.model_copy(
        update={"records": None, "api_key": SecretStr("k"), "base_url": "https://x"}
    )
    assert has_source(with_files)
    assert not has_source(without)
    assert has_source(without.model_copy(update={"adapter": "stripe"}))
    assert not has_source(without.model_copy(update={"adapter": "sandbox", "api_key": None}))


def test_who_has_files_is_not_asked_by_its_api(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="its records come as files"):
        source(reports(tmp_path))


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "FILES_MAX", 1)
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).touch()
    with pytest.raises(SourceFailed, match="more than 1 report files"):
        files(reports(tmp_path))


def test_columns_are_for_formats_that_have_none_of_their_own(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="need columns"):
        file_source("csv", tmp_path / "a", None, ZoneInfo("UTC"))
    with pytest.raises(ValueError, match="need columns"):
        file_source("adyen_settlement", tmp_path / "a", columns(), ZoneInfo("UTC"))
