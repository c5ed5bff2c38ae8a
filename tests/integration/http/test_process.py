"""The shim as it is run: uvicorn's command, the environment, a TOML file."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import redis

from tests.factories import job_rows
from tests.integration.http.requests import CREDIT, SANDBOX, captured, credit, job_headers, signed
from tests.integration.http.serving import ACME_TOKEN, SANDBOX_SECRET
from tests.waiting import PATIENCE_SECONDS, until
from worker.database import Transaction
from worker.http import app

CONFIG = """
[tenants.acme]
timezone = "Europe/Istanbul"
api_tokens = ["env:ACME_TOKEN"]
[tenants.acme.providers.sandbox]
adapter = "sandbox"
webhook_secrets = ["env:ACME_SANDBOX_SECRET"]
"""

# A child that is still importing after uvicorn's usual five seconds is killed, and never gets further.
TWO_WORKERS = ("--workers", "2", "--timeout-worker-healthcheck", "60")


@pytest.fixture
def environment(database_url: str, redis_url: str, tmp_path: Path) -> dict[str, str]:
    config = tmp_path / "ledgerbeat.toml"
    config.write_text(CONFIG)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LEDGERBEAT_")}
    return inherited | {
        "LEDGERBEAT_DATABASE_URL": database_url,
        "LEDGERBEAT_REDIS_URL": redis_url,
        "LEDGERBEAT_CONFIG": str(config),
        "LEDGERBEAT_LOG_FORMAT": "json",
        "ACME_TOKEN": ACME_TOKEN,
        "ACME_SANDBOX_SECRET": SANDBOX_SECRET,
    }


def command(port: int, *more: str) -> list[str]:
    uvicorn = [sys.executable, "-m", "uvicorn", "--factory", "worker.http.app:create_app", "--no-access-log"]
    return [*uvicorn, "--http", "worker.http.wire:Wire", "--host", "127.0.0.1", "--port", str(port), *more]


@contextmanager
def running(environment: dict[str, str], port: int, log: Path, *more: str) -> Iterator[httpx.Client]:
    """The shim in a process of its own; SIGTERM at the end, which must be enough."""
    with (
        log.open("wb") as output,
        subprocess.Popen(command(port, *more), env=environment, stdout=output, stderr=output) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS) as client,
    ):
        try:
            until(lambda: _answers(client), what="the shim's start")
            yield client
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_from_the_environment_to_a_nudge_in_redis(
    environment: dict[str, str], redis_url: str, free_port: int, tmp_path: Path, transaction: Transaction
) -> None:
    log = tmp_path / "shim.log"
    body = captured(reference="order-secret")
    with running(environment, free_port, log) as client:
        assert (
            client.post(
                CREDIT, json=credit(owner="ada-secret"), headers=job_headers("key-secret")
            ).status_code
            == 202
        )
        assert client.post(SANDBOX, content=body, headers=signed(body)).status_code == 202
        assert (
            client.post(CREDIT, json=credit(), headers=job_headers(token="wrong-token-secret")).status_code
            == 401
        )
        with redis.Redis.from_url(redis_url) as broker:
            assert until(lambda: broker.llen("intake"), what="the nudge") == 1
            message = json.loads(broker.lindex("intake", 0) or b"")
        assert message["headers"]["task"] == "intake.drain"
    assert len(job_rows(transaction)) == 2
    told = log.read_text()
    assert '"event": "http.request"' in told
    assert "secret" not in told
    assert ACME_TOKEN not in told
    assert "Traceback" not in told


def test_several_processes_share_nothing_but_the_database(
    environment: dict[str, str], free_port: int, tmp_path: Path, transaction: Transaction
) -> None:
    with running(environment, free_port, tmp_path / "shim.log", *TWO_WORKERS):
        answers = [
            httpx.post(
                f"http://127.0.0.1:{free_port}{CREDIT}",
                json=credit(),
                headers=job_headers(f"k{n % 10}"),
                timeout=PATIENCE_SECONDS,
            )
            for n in range(60)
        ]
    assert {answer.status_code for answer in answers} == {202}
    assert sum(not answer.json()["duplicate"] for answer in answers) == 10
    assert len(job_rows(transaction)) == 10


def test_a_wrong_setting_ends_the_process_with_one_sentence(
    environment: dict[str, str], free_port: int
) -> None:
    del environment["LEDGERBEAT_DATABASE_URL"]
    ended = subprocess.run(
        command(free_port),
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ended.returncode != 0
    (line,) = ended.stderr.splitlines()
    assert line.startswith("ledgerbeat: LEDGERBEAT_DATABASE_URL is not set")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"LEDGERBEAT_REDIS_URL": ""}, "LEDGERBEAT_REDIS_URL is not set"),
        ({"LEDGERBEAT_DATABASE_URL": "mysql://x"}, "LEDGERBEAT_DATABASE_URL must start with postgresql://"),
        ({"LEDGERBEAT_CONFIG": "/nowhere.toml"}, "cannot read /nowhere.toml"),
        ({"ACME_TOKEN": ""}, "the environment variable ACME_TOKEN is not set"),
        ({"ACME_SANDBOX_SECRET": "***"}, "tenants.acme.providers.sandbox.webhook_secrets"),
    ],
)
def test_each_wrong_setting_is_named(
    environment: dict[str, str], changes: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (environment | changes).items():
        monkeypatch.setenv(name, value)
    for of_the_whole_process in ("configure_logging", "disable_created_metrics", "collect_seldom"):
        monkeypatch.setattr(app, of_the_whole_process, lambda *_: None)
    with pytest.raises(SystemExit, match=sentence):
        app.create_app()
