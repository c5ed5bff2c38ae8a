"""Where notifications go and what signs them: wrong values are refused with a sentence that says what to set."""

import base64
from pathlib import Path

import pytest

from worker.notifying import endpoints
from worker.settings import Settings, SettingsError, load_settings

SECRET = "whsec_" + base64.b64encode(b"s" * 24).decode()
LONG_SECRET = base64.b64encode(b"l" * 64).decode()


def load(folder: Path, url: str | None, *secrets: str) -> Settings:
    path = folder / "ledgerbeat.toml"
    lines = ["[tenants.acme]"]
    lines += [] if url is None else [f"notify_url = '{url}'"]
    lines += [f"notify_secrets = {[f'env:S{n}' for n in range(len(secrets))]}"] if secrets else []
    path.write_text("\n".join(lines))
    names = {f"S{n}": secret for n, secret in enumerate(secrets)}
    return load_settings({"LEDGERBEAT_CONFIG": str(path), **names})


@pytest.mark.parametrize(
    "url",
    [
        "https://acme.example/hooks?key=1",
        "https://acme.example:8443",
        "http://127.0.0.1:9000/hooks",
        "http://localhost/hooks",
        "http://[::1]:9000/",
    ],
)
def test_https_or_this_machine(tmp_path: Path, url: str) -> None:
    settings = load(tmp_path, url, SECRET, LONG_SECRET)
    assert {name: (one.url, one.secrets) for name, one in endpoints(settings).items()} == {
        "acme": (url, (SECRET, LONG_SECRET))
    }


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://acme.example/hidden", "https:// was expected"),
        ("http://127.0.0.1.example/hidden", "https:// was expected"),
        ("ftp://acme.example/hidden", "begins with https://"),
        ("https:///hidden", "names a host"),
        ("acme.example/hidden", "begins with https://"),
        ("https://me:hidden@acme.example/", "without user"),
        ("https://acme.example/#hidden", "fragment"),
        ("https://acme.example:hidden/", "an address such as"),
        ("https://acme.example/a hidden", "printable ASCII"),
        ("https://äcme.example/hidden", "printable ASCII"),
        ("", "begins with https://"),
    ],
)
def test_another_address_is_refused_without_quoting_it(tmp_path: Path, url: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, url, SECRET)
    assert sentence in str(refused.value)
    assert "tenants.acme.notify_url" in str(refused.value)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    "secret",
    [
        base64.b64encode(b"s" * 23).decode(),
        base64.b64encode(b"s" * 65).decode(),
        "whsec_not/base64!",
        "whsec_",
    ],
)
def test_an_unusable_secret_is_refused_without_quoting_it(tmp_path: Path, secret: str) -> None:
    with pytest.raises(SettingsError, match="notify_secrets: each must be the base64 of 24 to 64") as refused:
        load(tmp_path, "https://acme.example/", SECRET, secret)
    assert secret.removeprefix("whsec_") == "" or secret not in str(refused.value)


def test_an_address_needs_a_secret(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="notify_url needs notify_secrets"):
        load(tmp_path, "https://acme.example/")


def test_secrets_may_stand_before_there_is_an_address(tmp_path: Path) -> None:
    assert endpoints(load(tmp_path, None, SECRET)) == {}


def test_neither_address_nor_secret_shows_in_a_repr(tmp_path: Path) -> None:
    [endpoint] = endpoints(load(tmp_path, "https://acme.example/hidden", SECRET)).values()
    assert "hidden" not in repr(endpoint)
    assert SECRET not in repr(endpoint)
    assert "acme.example" not in endpoint.fingerprint
