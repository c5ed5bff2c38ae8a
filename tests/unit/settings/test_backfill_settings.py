"""Sources of older rows that the settings name; what is wrong is refused with a sentence that names it."""

from pathlib import Path

import pytest

from tests.unit.settings.test_settings import SECRETS
from worker.settings import SettingsError, TenantSettings, load_settings

URL = "postgresql://reader:hunter2@old.example/wallet"
MAPPING = """
[tenants.acme.backfills.history.mapping]
unit = "major"
currency = "EUR"
reason = "history"
[tenants.acme.backfills.history.mapping.columns]
id = "id"
owner = "player"
amount = "amount"
occurred_at = "at"
"""
FILE = 'path = "/srv/legacy.csv"\nformat = "csv"\n'
SQL = 'url = "env:OLD_URL"\nquery = "SELECT * FROM moves"\nkey = "id"\n'
PROVIDER = '[tenants.acme.providers.sandbox]\nadapter = "sandbox"\nwebhook_secrets = ["env:A_WH"]\n'


def load(folder: Path, table: str, mapping: str = MAPPING, before: str = PROVIDER) -> TenantSettings:
    path = folder / "ledgerbeat.toml"
    path.write_text(f"{before}[tenants.acme.backfills.history]\n{table}\n{mapping}")
    return load_settings({"LEDGERBEAT_CONFIG": str(path), "OLD_URL": URL} | SECRETS).tenants["acme"]


def refused(folder: Path, table: str, mapping: str = MAPPING, before: str = PROVIDER) -> str:
    with pytest.raises(SettingsError) as raised:
        load(folder, table, mapping, before)
    assert str(raised.value).startswith(f"{folder / 'ledgerbeat.toml'}: tenants.acme.backfills")
    assert "hunter2" not in str(raised.value)
    return str(raised.value)


def test_a_file_is_named_with_its_mapping(tmp_path: Path) -> None:
    history = load(tmp_path, FILE).backfills["history"]
    assert (history.path, history.format) == ("/srv/legacy.csv", "csv")
    assert history.mapping is not None
    assert history.mapping.columns.owner == "player"


def test_a_query_is_named_with_a_reference_to_its_database(tmp_path: Path) -> None:
    tenant = load(tmp_path, SQL + "statement_seconds = 60")
    history = tenant.backfills["history"]
    assert history.url is not None
    assert history.url.get_secret_value() == URL
    assert (history.query, history.key, history.statement_seconds) == ("SELECT * FROM moves", "id", 60)
    assert "hunter2" not in repr(tenant)


def test_a_url_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "old-url").write_text(f"{URL}\n")
    history = load(tmp_path, SQL.replace("env:OLD_URL", "file:old-url")).backfills["history"]
    assert history.url is not None
    assert history.url.get_secret_value() == URL


def test_a_providers_events_are_named_by_the_provider(tmp_path: Path) -> None:
    assert load(tmp_path, 'provider = "sandbox"', "").backfills["history"].provider == "sandbox"


def test_a_tenant_needs_no_backfills(tmp_path: Path) -> None:
    path = tmp_path / "ledgerbeat.toml"
    path.write_text("[tenants.acme]")
    assert load_settings({"LEDGERBEAT_CONFIG": str(path)}).tenants["acme"].backfills == {}


@pytest.mark.parametrize(
    ("table", "mapping", "sentence"),
    [
        ("", MAPPING, "set one of path (a file), url (an older database) and provider (its events)"),
        (FILE + SQL, MAPPING, "set one of path (a file), url"),
        (FILE + 'provider = "sandbox"', MAPPING, "set one of path (a file), url"),
        ('path = "/srv/legacy.csv"', MAPPING, "path needs format, 'csv' or 'jsonl'"),
        (SQL + 'format = "csv"', MAPPING, "path needs format, 'csv' or 'jsonl'"),
        (FILE.replace("csv", "xml"), MAPPING, "history.format: Input should be 'csv' or 'jsonl'"),
        (FILE.replace("/srv/", ""), MAPPING, "path must be absolute, such as /srv/legacy/history.csv"),
        (FILE + 'query = "SELECT 1"', MAPPING, "url needs query and key"),
        ('url = "env:OLD_URL"\nquery = "SELECT 1"', MAPPING, "url needs query and key"),
        ('url = "env:OLD_URL"\nkey = "id"', MAPPING, "url needs query and key"),
        (SQL.replace("moves", "moves; "), MAPPING, "query is one SELECT, without a semicolon at its end"),
        (
            SQL.replace("env:OLD_URL", URL),
            MAPPING,
            "history.url: secrets are references, env:NAME or file:PATH",
        ),
        (
            SQL.replace("OLD_URL", "NO_URL"),
            MAPPING,
            "history.url: the environment variable NO_URL is not set",
        ),
        (SQL.replace('"env:OLD_URL"', "5"), MAPPING, "history.url: secrets are references"),
        (
            SQL + "statement_seconds = 0",
            MAPPING,
            "history.statement_seconds: Input should be greater than or",
        ),
        (FILE, "", "path and url need the table mapping, and provider takes none"),
        ('provider = "sandbox"', MAPPING, "path and url need the table mapping, and provider takes none"),
        ('provider = "stripe"', "", "history.provider: no such provider of this tenant"),
        (FILE + 'speed = "fast"', MAPPING, "history.speed: Extra inputs are not permitted"),
        (FILE, MAPPING.replace('unit = "major"', ""), "history.mapping.unit: Field required"),
        (
            FILE,
            MAPPING.replace('"player"', '""'),
            "history.mapping.columns.owner: String should have at least 1",
        ),
        (
            FILE,
            MAPPING.replace("EUR", "EURO"),
            "history.mapping.currency: an ISO 4217 currency with a minor unit",
        ),
    ],
)
def test_a_bad_source_is_refused(tmp_path: Path, table: str, mapping: str, sentence: str) -> None:
    assert sentence in refused(tmp_path, table, mapping)


def test_the_table_itself_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "ledgerbeat.toml"
    for toml, sentence in (
        ("[tenants.acme]\nbackfills = 5", "tenants.acme.backfills must be a table"),
        ("[tenants.acme.backfills]\nhistory = 5", "tenants.acme.backfills.history must be a table"),
        (
            "[tenants.acme.backfills.HISTORY]\n",
            "tenants.acme.backfills.HISTORY: a backfill's name is 1-31 of",
        ),
    ):
        path.write_text(toml)
        with pytest.raises(SettingsError) as raised:
            load_settings({"LEDGERBEAT_CONFIG": str(path)})
        assert sentence in str(raised.value)
