"""The development configuration, the sandbox account it names, and ports that are taken."""

import socket
import stat
from pathlib import Path

import pytest

from ops.development import SECRETS, TENANT, development_secret, write_development_config
from ops.processes import EVERYTHING, Addresses, processes, sandbox_account
from ops.sandbox.config import signing_key
from ops.stack import PortTaken, take_port
from ops.up import without_password
from worker.celery import QUEUES
from worker.settings import Settings, load_settings


def settings(home: Path, sandbox_url: str = "http://127.0.0.1:8090") -> Settings:
    return load_settings({"LEDGERBEAT_CONFIG": str(write_development_config(home, sandbox_url))})


def test_it_is_a_configuration_with_three_providers(tmp_path: Path) -> None:
    tenant = settings(tmp_path).tenants[TENANT]
    assert {p.name: p.adapter for p in tenant.providers.values()} == {
        "sandbox": "sandbox",
        "stripe": "stripe",
        "adyen": "adyen",
    }
    bytes.fromhex(tenant.providers["adyen"].webhook_secrets[0].get_secret_value())
    assert len(signing_key(tenant.providers["sandbox"].webhook_secrets[0].get_secret_value())) == 32


def test_secrets_are_kept_and_only_their_owner_may_read_them(tmp_path: Path) -> None:
    before = settings(tmp_path).tenants[TENANT].api_tokens
    assert settings(tmp_path, "http://127.0.0.1:9999").tenants[TENANT].api_tokens == before
    assert before[0].get_secret_value() == development_secret(tmp_path, "api-token")
    for file in (tmp_path / "secrets").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {file.name for file in (tmp_path / "secrets").iterdir()} == set(SECRETS)


def test_no_two_homes_share_a_secret(tmp_path: Path) -> None:
    assert development_secret(tmp_path / "a", "api-token") != development_secret(tmp_path / "b", "api-token")


def test_the_sandbox_account_is_the_one_on_loopback(tmp_path: Path) -> None:
    account = sandbox_account(settings(tmp_path, "http://127.0.0.1:8123"))
    assert account is not None
    assert (account.tenant, account.provider, account.port) == (TENANT, "sandbox", 8123)
    assert sandbox_account(settings(tmp_path, "https://sandbox.example")) is None


def test_no_secret_stands_in_a_command_line(tmp_path: Path) -> None:
    found = settings(tmp_path)
    environment = {"LEDGERBEAT_REDIS_URL": "redis://127.0.0.1:1/0"}
    names = ["sandbox", "worker", "beat", "shim", "flower"]
    made = processes(names, {"worker": 2}, environment, Addresses(1, 2, 3), sandbox_account(found), tmp_path)
    assert [process.name for process in made] == ["sandbox", "worker", "worker-2", "beat", "shim", "flower"]
    spoken = " ".join(argument for process in made for argument in process.argv)
    assert not any(development_secret(tmp_path, name) in spoken for name in SECRETS)


def queues(names: list[str], home: Path) -> dict[str, str]:
    """Worker -> the queues it was told to take; none is all."""
    environment = {"LEDGERBEAT_REDIS_URL": "redis://127.0.0.1:1/0"}
    made = processes(names, {"worker": 2, "payouts": 2}, environment, Addresses(1, 2, 3), None, home)
    lines = {process.name: list(process.argv) for process in made if "-n" in process.argv}
    return {name: line[line.index("-Q") + 1] if "-Q" in line else "" for name, line in lines.items()}


def test_every_queue_has_a_worker_whoever_is_chosen(tmp_path: Path) -> None:
    network, nights, rest = "payouts,notifications", "reconciliation", "intake,celery"
    history = "backfills"
    whole = [name for name in EVERYTHING if name != "sandbox"]
    assert queues(whole, tmp_path) == {
        "worker": rest, "worker-2": rest, "payouts": network, "payouts-2": network, "reconciliation": nights,
        "backfills": history,
    }  # fmt: skip
    assert queues(["worker", "beat"], tmp_path) == {"worker": "", "worker-2": ""}
    assert set(f"{network},{nights},{history},{rest}".split(",")) == set(QUEUES)
    assert queues(["worker", "payouts"], tmp_path)["worker"] == f"{rest},{nights},{history}"


def test_a_taken_port_names_its_setting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            PortTaken, match=f"port {port} is in use: .* set LEDGERBEAT_HTTP_PORT to another port"
        ):
            take_port(port, "HTTP_PORT", needed=True)
        assert take_port(port, "HTTP_PORT", needed=False) == port
    assert take_port(0, "HTTP_PORT", needed=True) > 0


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            "postgresql+psycopg://app:secret@db/ledgerbeat?sslpassword=x",
            "postgresql+psycopg://app@db/ledgerbeat",
        ),
        ("redis://:secret@127.0.0.1:6379/0", "redis://@127.0.0.1:6379/0"),
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
    ],
)
def test_urls_are_shown_without_their_password(url: str, shown: str) -> None:
    assert without_password(url) == shown
