"""Settings: read once; what is wrong is refused with a sentence that says what to set."""

from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from worker.settings import Settings, SettingsError, load_settings

TOKEN = "token-of-acme-0123456789"
OTHER_TOKEN = "token-of-globex-0123456789"
KEY = "sk_live_api_key_of_sandbox"
WEBHOOK = "whsec_" + "c2VjcmV0LW9mLXNhbmRib3gtMDEyMzQ1"
NOTIFY = "whsec_" + "bm90aWZ5LXNlY3JldC0wMTIzNDU2Nzg5"
PASSWORD = "hunter2-of-the-database"
SECRETS = {"A_TOKEN": TOKEN, "G_TOKEN": OTHER_TOKEN, "A_KEY": KEY, "A_WH": WEBHOOK, "A_NOTIFY": NOTIFY}

WHOLE = """
[tenants.acme]
timezone = "Europe/Istanbul"
api_tokens = ["env:A_TOKEN"]
notify_url = "https://acme.example/hooks"
notify_secrets = ["env:A_NOTIFY"]
rate_limit_per_second = 50
database_roles = ["acme_app"]
[tenants.acme.providers.sandbox]
adapter = "sandbox"
base_url = "http://127.0.0.1:8090"
api_key = "env:A_KEY"
webhook_secrets = ["env:A_WH", "file:old-secret"]
[tenants.globex]
api_tokens = ["env:G_TOKEN"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what the TOML's file: references point at."""
    (tmp_path / "old-secret").write_text(f"{WEBHOOK}\n")
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "not-text").write_bytes(b"\xff\xfe\x00secret")
    return tmp_path


def load(folder: Path, toml: str, **environ: str) -> Settings:
    path = folder / "ledgerbeat.toml"
    path.write_text(toml)
    return load_settings({"LEDGERBEAT_CONFIG": str(path)} | SECRETS | environ)


def test_without_any_setting_the_defaults_hold() -> None:
    settings = load_settings({})
    assert (settings.http_port, settings.flower_port, settings.metrics_port) == (8080, 5555, None)
    assert (settings.home, settings.log_format) == (Path(".ledgerbeat"), "console")
    assert (settings.database_url, settings.redis_url, settings.tenants) == (None, None, {})


def test_the_environment_says_what_differs() -> None:
    settings = load_settings(
        {
            "LEDGERBEAT_DATABASE_URL": "postgresql://app@db/ledgerbeat",
            "LEDGERBEAT_REDIS_URL": "redis://redis:6379/0",
            "LEDGERBEAT_HOME": "/var/lib/ledgerbeat",
            "LEDGERBEAT_HTTP_PORT": "80",
            "LEDGERBEAT_METRICS_PORT": "9100",
            "LEDGERBEAT_LOG_FORMAT": "json",
        }
    )
    assert settings.require_database_url() == "postgresql+psycopg://app@db/ledgerbeat"
    assert settings.require_redis_url() == settings.require_broker_url() == "redis://redis:6379/0"
    assert (settings.home, settings.http_port, settings.metrics_port) == (
        Path("/var/lib/ledgerbeat"),
        80,
        9100,
    )
    assert settings.log_format == "json"


def test_a_broker_of_its_own_is_used() -> None:
    environ = {"LEDGERBEAT_REDIS_URL": "redis://r", "LEDGERBEAT_BROKER_URL": "amqp://guest@rabbit//"}
    assert load_settings(environ).require_broker_url() == "amqp://guest@rabbit//"


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_usual_spelling_of_the_database_url_is_taken(scheme: str) -> None:
    settings = load_settings({"LEDGERBEAT_DATABASE_URL": f"{scheme}://a:b@c/d?sslmode=require"})
    assert settings.database_url == "postgresql+psycopg://a:b@c/d?sslmode=require"


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    environ = {"LEDGERBEAT_DATABASE_URL": "", "LEDGERBEAT_HTTP_PORT": "", "LEDGERBEAT_CONFIG": ""}
    assert load_settings(environ) == load_settings({})


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "BROKER_URL"])
def test_a_url_may_stand_in_a_file_which_wins(tmp_path: Path, name: str) -> None:
    url = "postgresql+psycopg://a/b" if name == "DATABASE_URL" else "redis://in-a-file"
    (tmp_path / "url").write_text(f"{url}\n")
    environ = {f"LEDGERBEAT_{name}_FILE": str(tmp_path / "url"), f"LEDGERBEAT_{name}": "redis://elsewhere"}
    assert getattr(load_settings(environ), name.lower()) == url


def test_the_whole_configuration_is_read(folder: Path) -> None:
    settings = load(folder, WHOLE)
    acme, globex = settings.tenants["acme"], settings.tenants["globex"]
    assert (acme.name, acme.timezone, acme.rate_limit_per_second) == ("acme", "Europe/Istanbul", 50)
    assert [token.get_secret_value() for token in acme.api_tokens] == [TOKEN]
    assert [secret.get_secret_value() for secret in acme.notify_secrets] == [NOTIFY]
    assert acme.database_roles == ("acme_app",)
    sandbox = acme.providers["sandbox"]
    assert (sandbox.name, sandbox.adapter, sandbox.base_url) == (
        "sandbox",
        "sandbox",
        "http://127.0.0.1:8090",
    )
    assert sandbox.api_key is not None
    assert sandbox.api_key.get_secret_value() == KEY
    assert [secret.get_secret_value() for secret in sandbox.webhook_secrets] == [WEBHOOK, WEBHOOK]
    assert (globex.timezone, globex.providers) == ("UTC", {})


def test_settings_cannot_be_changed(folder: Path) -> None:
    settings = load(folder, WHOLE)
    with pytest.raises(ValidationError, match="frozen"):
        settings.http_port = 1  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        settings.tenants["acme"].timezone = "UTC"  # type: ignore[misc]


def test_every_zone_that_a_tenant_may_name_is_one_that_python_knows(folder: Path) -> None:
    zone = load(folder, WHOLE).tenants["acme"].timezone
    assert ZoneInfo(zone).key == zone == "Europe/Istanbul"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DATABASE_URL", "mysql://a/b", "LEDGERBEAT_DATABASE_URL must start with postgresql://"),
        ("DATABASE_URL", "postgresql+asyncpg://a/b", "LEDGERBEAT_DATABASE_URL must start with postgresql://"),
        ("DATABASE_URL", "localhost:5432/db", "LEDGERBEAT_DATABASE_URL must start with postgresql://"),
        (
            "DATABASE_URL_FILE",
            "/nowhere/url",
            "LEDGERBEAT_DATABASE_URL_FILE: cannot read /nowhere/url (No such",
        ),
        ("REDIS_URL", "http://redis", "LEDGERBEAT_REDIS_URL must start with redis://"),
        ("REDIS_URL", "redis", "LEDGERBEAT_REDIS_URL must start with redis://"),
        ("HTTP_PORT", "eighty", "LEDGERBEAT_HTTP_PORT: Input should be a valid integer"),
        ("HTTP_PORT", "-1", "LEDGERBEAT_HTTP_PORT: Input should be greater than or equal to 0"),
        ("HTTP_PORT", "65536", "LEDGERBEAT_HTTP_PORT: Input should be less than or equal to 65535"),
        ("FLOWER_PORT", "80.5", "LEDGERBEAT_FLOWER_PORT: Input should be a valid integer"),
        ("METRICS_PORT", "99999", "LEDGERBEAT_METRICS_PORT: Input should be less than"),
        ("LOG_FORMAT", "xml", "LEDGERBEAT_LOG_FORMAT: Input should be 'console' or 'json'"),
        ("PREPARED_STATEMENTS", "perhaps", "LEDGERBEAT_PREPARED_STATEMENTS: Input should be a valid boolean"),
        ("CONFIG", "/nowhere/x.toml", "LEDGERBEAT_CONFIG: cannot read /nowhere/x.toml (No such file"),
        ("CONFIG", "/", "LEDGERBEAT_CONFIG: cannot read / (Is a directory)"),
    ],
)
def test_a_bad_variable_is_named(name: str, value: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings({f"LEDGERBEAT_{name}": value})
    assert str(raised.value).startswith(sentence)


PROVIDER = '[tenants.acme.providers.sandbox]\nadapter = "sandbox"\nwebhook_secrets = ["env:A_WH"]\n'


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ("[tenants", "not valid TOML"),
        ("[tenant.acme]", "unknown table [tenant]; only [tenants.<name>] is expected"),
        ("http_port = 1", "unknown table [http_port]"),
        ("tenants = 5", "tenants must be tables, [tenants.<name>]"),
        ("[[tenants]]", "tenants must be tables, [tenants.<name>]"),
        ("[tenants]\nacme = 5", "tenants.acme must be a table"),
        ("[tenants.ACME]", "tenants.ACME: a tenant's name is 1-63 of a-z, 0-9, _ and -"),
        ('[tenants."a b"]', "tenants.a b: a tenant's name is"),
        (f"[tenants.{'a' * 64}]", "a tenant's name is 1-63"),
        ('[tenants."acme\\n"]', "a tenant's name is"),
        ('[tenants.acme]\ntimezone = "Mars/Olympus"', "tenants.acme.timezone: 'Mars/Olympus' is not an IANA"),
        (
            '[tenants.acme]\ntimezone = "../etc/passwd"',
            "tenants.acme.timezone: '../etc/passwd' is not an IANA",
        ),
        ('[tenants.acme]\ntimezone = ""', "tenants.acme.timezone: '' is not an IANA"),
        ('[tenants.acme]\ntime_zone = "UTC"', "tenants.acme.time_zone: Extra inputs are not permitted"),
        (
            "[tenants.acme]\nrate_limit_per_second = 0",
            "tenants.acme.rate_limit_per_second: Input should be greater",
        ),
        (
            "[tenants.acme]\nrate_limit_per_second = nan",
            "tenants.acme.rate_limit_per_second: Input should be greater",
        ),
        ("[tenants.acme]\ndatabase_roles = 5", "tenants.acme.database_roles: Input should be a valid tuple"),
        ('[tenants.acme]\napi_tokens = "env:A_TOKEN"', 'api_tokens must be a list such as ["env:NAME"]'),
        ('[tenants.acme]\napi_tokens = ["env:NOT_SET"]', "the environment variable NOT_SET is not set"),
        (
            '[tenants.acme]\napi_tokens = ["env:"]',
            "secrets are references, env:NAME or file:PATH, never values",
        ),
        (
            '[tenants.acme]\napi_tokens = ["env:SHORT"]',
            "tenants.acme.api_tokens: at least 16 characters each",
        ),
        (
            '[tenants.acme]\napi_tokens = ["env:A_TOKEN","env:A_TOKEN","env:A_TOKEN","env:A_TOKEN","env:A_TOKEN"]',
            "tenants.acme.api_tokens: Tuple should have at most 4 items",
        ),
        (
            '[tenants.acme]\napi_tokens = ["env:A_TOKEN"]\n[tenants.globex]\napi_tokens = ["env:A_TOKEN"]',
            "tenants acme and globex share an API token",
        ),
        ('[tenants.acme]\nnotify_secrets = ["file:nowhere"]', "tenants.acme.notify_secrets: cannot read"),
        ('[tenants.acme]\nnotify_secrets = ["file:empty"]', "is empty"),
        ('[tenants.acme]\nnotify_secrets = ["file:not-text"]', "not UTF-8 text"),
        ('[tenants.acme]\nnotify_secrets = ["file:\\u0000"]', "not a path"),
        ("[tenants.acme]\nproviders = 5", "tenants.acme.providers must be a table"),
        ("[tenants.acme.providers]\nsandbox = 5", "tenants.acme.providers.sandbox must be a table"),
        (
            PROVIDER.replace("providers.sandbox", 'providers."a:b"'),
            "a provider's name is 1-31 of a-z, 0-9, _ and -",
        ),
        (PROVIDER.replace("providers.sandbox", f"providers.{'p' * 32}"), "a provider's name is 1-31"),
        (
            PROVIDER.replace('"sandbox"', '"paypal"'),
            "tenants.acme.providers.sandbox.adapter: Input should be",
        ),
        (
            PROVIDER.replace("adapter", "adaptor"),
            "tenants.acme.providers.sandbox.adaptor: Extra inputs are not permitted",
        ),
        (PROVIDER + "retries = 5", "tenants.acme.providers.sandbox.retries: Extra inputs are not permitted"),
        (
            PROVIDER.replace("webhook_secrets", "#"),
            "tenants.acme.providers.sandbox: webhook_secrets is needed",
        ),
        (PROVIDER.replace('["env:A_WH"]', "[]"), "sandbox: webhook_secrets is needed, a list such as"),
        (
            PROVIDER + f'api_key = "{KEY}"',
            "api_key: secrets are references, env:NAME or file:PATH, never values",
        ),
        (
            PROVIDER.replace("A_WH", "A_KEY"),
            "sandbox.webhook_secrets: A webhook secret of the adapter sandbox must",
        ),
        (
            PROVIDER.replace('"sandbox"', '"adyen"'),
            "sandbox.webhook_secrets: A webhook secret of the adapter adyen must be",
        ),
        (PROVIDER + "api_key = 5", "api_key: secrets are references"),
        (PROVIDER + 'capture = "later"', "capture: Input should be 'automatic' or 'manual'"),
    ],
)
def test_a_bad_configuration_is_told_by_its_place(folder: Path, toml: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load(folder, toml, SHORT="15-characters..")
    assert sentence in str(raised.value)


def test_an_unreadable_file_is_told_and_not_shown(folder: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        load(folder, '[tenants.acme]\nnotify_secrets = ["file:not-text"]')
    assert "secret" not in str(raised.value).replace("notify_secrets", "")


@pytest.mark.parametrize("needed", ["database_url", "redis_url", "broker_url"])
def test_what_is_needed_and_not_set_is_asked_for(needed: str) -> None:
    with pytest.raises(SettingsError, match=r"is not set: give it a URL such as .* 'ledgerbeat up'"):
        getattr(load_settings({}), f"require_{needed}")()


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r}".format])
def test_no_secret_is_in_the_settings_shown(folder: Path, show: Callable[[object], str]) -> None:
    settings = load(
        folder,
        WHOLE,
        LEDGERBEAT_DATABASE_URL=f"postgresql://app:{PASSWORD}@db/x",
        LEDGERBEAT_REDIS_URL="redis://r",
    )
    shown = show(settings) + repr(settings.tenants)
    assert "acme" in shown
    assert not [secret for secret in (*SECRETS.values(), PASSWORD) if secret in shown]


@pytest.mark.parametrize(
    ("toml", "environ"),
    [
        (f'[tenants.acme]\napi_tokens = ["{TOKEN}"]', {}),
        (f'[tenants.acme]\nnotify_secrets = ["{NOTIFY}"]', {}),
        (PROVIDER + f'api_key = "{KEY}"', {}),
        (PROVIDER + "retries = 5", {}),
        (PROVIDER.replace("A_WH", "A_KEY"), {}),
        (WHOLE + f'[tenants.other]\napi_tokens = ["env:A_TOKEN"]\nnotify_url = "{NOTIFY}"', {}),
        (WHOLE, {"LEDGERBEAT_DATABASE_URL": f"mysql://app:{PASSWORD}@db"}),
        (WHOLE, {"LEDGERBEAT_REDIS_URL": f"http://:{PASSWORD}@redis"}),
        (WHOLE, {"LEDGERBEAT_DATABASE_URL": f"postgresql://app:{PASSWORD}@db", "LEDGERBEAT_HTTP_PORT": "x"}),
    ],
)
def test_no_secret_is_in_what_is_told_of_a_mistake(folder: Path, toml: str, environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as raised:
        load(folder, toml, **environ)
    told = f"{raised.value} {raised.value!r}"
    assert not [secret for secret in (*SECRETS.values(), PASSWORD) if secret in told]
    assert raised.value.__cause__ is None


def test_an_empty_database_role_means_to_stay_who_one_is() -> None:
    assert load_settings({}).database_role == "ledgerbeat_worker"
    assert load_settings({"LEDGERBEAT_DATABASE_ROLE": ""}).database_role == ""
