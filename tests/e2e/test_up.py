"""`ledgerbeat up`: everything answers, what dies comes back, and nothing is left at the end."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from ops.bootstrap import ROOT
from ops.development import TENANT, development_secret
from ops.embedded.process import wait_until
from ops.processes import EVERYTHING
from tests.e2e.running import NOTHING_SET, Running, alive, ledgerbeat, new_home, processes_of
from tests.waiting import until

pytestmark = pytest.mark.e2e
ANY_PORT = {**NOTHING_SET, **{f"LEDGERBEAT_{name}_PORT": "0" for name in ("HTTP", "FLOWER", "SANDBOX")}}
BACK_SECONDS = 180.0


@dataclass
class Up:
    """The command in a process of its own, and what it printed until it was ready."""

    process: "subprocess.Popen[str]"
    home: Path
    said: str

    def address(self, name: str) -> str:
        found = re.search(rf"^{name} +(\S+)", self.said, re.MULTILINE)
        assert found, self.said
        return found[1]

    def processes(self) -> dict[str, int]:
        """Those that it said it started."""
        found = re.findall(r"^(\S+): started \(process (\d+)\)", self.said, re.MULTILINE)
        return {name: int(pid) for name, pid in found}

    def cli(self, *arguments: str) -> Any:
        """The JSON of a command in another process, which only knows the home."""
        environment = {**NOTHING_SET, "LEDGERBEAT_HOME": str(self.home)}
        done = ledgerbeat(*arguments, "--json", environment=environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@contextmanager
def up() -> Iterator[Up]:
    """Started and ready; killed at the end, if it still runs, with nothing left."""
    command = [sys.executable, "-m", "ops.cli", "up"]
    with new_home() as home:
        environment = {**os.environ, **ANY_PORT, "LEDGERBEAT_HOME": str(home)}
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            try:
                yield Up(process, home, read_until_ready(process))
            finally:
                process.kill()


def read_until_ready(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("ready"):
            break
    assert lines, "it said nothing"
    assert lines[-1].startswith("ready"), "".join(lines)
    return "".join(lines)


@pytest.fixture(scope="module")
def started() -> Iterator[Up]:
    with up() as running:
        yield running


def credit(started: Up, key: str) -> httpx.Response:
    headers = {
        "Authorization": f"Bearer {development_secret(started.home, 'api-token')}",
        "Idempotency-Key": key,
    }
    args = {"owner": "ada", "amount_minor": 100, "currency": "EUR", "reason": "promo"}
    return httpx.post(
        started.address("shim") + "/v1/jobs/wallets.credit", json=args, headers=headers, timeout=60
    )


def test_up_answers_on_every_address_it_prints(started: Up) -> None:
    assert httpx.get(started.address("shim") + "/readyz", timeout=60).status_code == 200
    assert httpx.get(started.address("flower") + "/", timeout=60).status_code == 401
    ours = ("ops", development_secret(started.home, "flower-password"))
    page = httpx.get(started.address("flower") + "/", auth=ours, follow_redirects=True, timeout=60)
    assert page.status_code == 200
    key = development_secret(started.home, "sandbox-api-key")
    truth = httpx.get(
        started.address("sandbox") + "/_truth", headers={"Authorization": f"Bearer {key}"}, timeout=60
    )
    assert truth.status_code == 200
    assert key not in started.said
    assert Path(started.address("token")).read_text().strip() not in started.said


def test_the_command_line_finds_what_up_is_running(started: Up) -> None:
    job_id = credit(started, "found").json()["job_id"]

    def listed() -> list[str]:
        return [job["id"] for job in started.cli("jobs", "list", "--tenant", TENANT, "--state", "done")]

    until(lambda: job_id in listed(), within_seconds=BACK_SECONDS, what="the job")
    wallets = started.cli("wallets", "show", "--tenant", TENANT)
    assert [(wallet["owner"], wallet["currency"]) for wallet in wallets] == [("ada", "EUR")]
    assert started.cli("verify")["clean"] is True


def test_up_starts_a_killed_worker_again(started: Up) -> None:
    before = started.processes()["worker"]
    os.kill(before, signal.SIGKILL)
    answer = credit(started, "while-it-is-down")
    assert answer.status_code == 202
    found = ["jobs", "show", answer.json()["job_id"]]
    until(lambda: started.cli(*found)["state"] == "done", within_seconds=BACK_SECONDS)
    assert not alive([before])


def test_ctrl_c_stops_everything(started: Up) -> None:
    """Last of those that share it: it has had a worker killed by now."""
    started.process.send_signal(signal.SIGINT)
    rest, _ = started.process.communicate(timeout=180)
    assert started.process.returncode == 0, rest
    assert rest.endswith("stopped\n")
    assert processes_of(started.home) == {}
    assert not (started.home / "running.json").exists()


def test_a_killed_up_leaves_no_process() -> None:
    with up() as running:
        assert set(running.processes()) == set(EVERYTHING)
        running.process.kill()
        assert wait_until(lambda: not processes_of(running.home), 120), processes_of(running.home)


@pytest.mark.parametrize("name", ["shim", "worker", "sandbox", "redis", "postgres"])
def test_what_is_killed_comes_back(battered: Running, name: str) -> None:
    before = battered.stack.pid(name)
    battered.stack.kill(name)
    until(lambda: battered.stack.pid(name) not in {None, before}, within_seconds=BACK_SECONDS)
    until(lambda: ready(battered), within_seconds=BACK_SECONDS)


def ready(running: Running) -> bool:
    try:
        return httpx.get(f"{running.stack.http_url}/readyz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def test_a_taken_port_is_named_before_anything_starts(battered: Running, tmp_path: Path) -> None:
    taken = str(battered.stack.addresses.http_port)
    environment = {**ANY_PORT, "LEDGERBEAT_HOME": str(tmp_path), "LEDGERBEAT_HTTP_PORT": taken}
    done = ledgerbeat("up", environment=environment)
    assert done.returncode == 2
    assert f"port {taken} is in use" in done.stderr
    assert "LEDGERBEAT_HTTP_PORT" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "redis").exists()
