"""`ledgerbeat up`: everything answers, what dies comes back, and nothing is left at the end."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from ops.bootstrap import ROOT
from ops.development import development_secret
from ops.embedded.process import wait_until
from ops.stack import Stack

pytestmark = pytest.mark.e2e
NOTHING_SET = {f"LEDGERBEAT_{name}": "" for name in ("DATABASE_URL", "REDIS_URL", "BROKER_URL", "CONFIG")}
ANY_PORT = {**NOTHING_SET, **{f"LEDGERBEAT_{name}_PORT": "0" for name in ("HTTP", "FLOWER", "SANDBOX")}}


@contextmanager
def up(home: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The command in a process of its own, and what it printed until it was ready."""
    environment = {**os.environ, **ANY_PORT, "LEDGERBEAT_HOME": str(home)}
    command = [sys.executable, "-m", "ops.cli", "up"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if line.startswith("ready"):
                    break
            assert lines, "it said nothing"
            assert lines[-1].startswith("ready"), "".join(lines)
            yield process, "".join(lines)
        finally:
            process.kill()


def address(said: str, name: str) -> str:
    found = re.search(rf"^{name} +(\S+)", said, re.MULTILINE)
    assert found, said
    return found[1]


def processes(said: str) -> list[int]:
    return [int(pid) for pid in re.findall(r"started \(process (\d+)\)", said)]


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_up_answers_on_every_address_and_ctrl_c_stops_it_all(tmp_path: Path) -> None:
    with up(tmp_path) as (process, said):
        assert httpx.get(address(said, "shim") + "/readyz").status_code == 200
        assert httpx.get(address(said, "flower") + "/").status_code == 401
        ours = ("ops", development_secret(tmp_path, "flower-password"))
        assert httpx.get(address(said, "flower") + "/", auth=ours, follow_redirects=True).status_code == 200
        key = development_secret(tmp_path, "sandbox-api-key")
        truth = httpx.get(address(said, "sandbox") + "/_truth", headers={"Authorization": f"Bearer {key}"})
        assert truth.status_code == 200
        assert key not in said
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, rest
    assert rest.endswith("stopped\n")
    assert gone(processes(said))
    assert not (tmp_path / "running.json").exists()


def test_a_killed_up_leaves_no_process(tmp_path: Path) -> None:
    with up(tmp_path) as (process, said):
        process.kill()
        pids = processes(said)
        assert len(pids) == 5
        assert wait_until(lambda: gone(pids), 30)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("up") / "home", environment=ANY_PORT, durable=False) as started:
        yield started


@pytest.mark.parametrize("name", ["shim", "worker", "sandbox", "redis", "postgres"])
def test_what_is_killed_comes_back(stack: Stack, name: str) -> None:
    before = stack.pid(name)
    stack.kill(name)
    assert wait_until(lambda: stack.pid(name) not in {None, before}, 10)
    assert wait_until(lambda: ready(stack), 20)


def ready(stack: Stack) -> bool:
    try:
        return httpx.get(f"{stack.http_url}/readyz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def test_a_taken_port_is_named_before_anything_starts(stack: Stack, tmp_path: Path) -> None:
    environment = {**os.environ, **ANY_PORT, "LEDGERBEAT_HOME": str(tmp_path)}
    environment["LEDGERBEAT_HTTP_PORT"] = str(stack.addresses.http_port)
    command = [sys.executable, "-m", "ops.cli", "up"]
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 2
    assert f"port {stack.addresses.http_port} is in use" in done.stderr
    assert "LEDGERBEAT_HTTP_PORT" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "redis").exists()


def test_several_workers_and_beats_run_side_by_side(tmp_path: Path) -> None:
    chosen = ("worker", "beat")
    with Stack(tmp_path, names=chosen, workers=2, beats=2, environment=ANY_PORT, durable=False) as started:
        assert set(started.pids()) == {"worker", "worker-2", "beat", "beat-2", "postgres", "redis"}
        assert all(started.pids().values())
        started.stop_one("worker-2")
        assert started.pid("worker-2") is None
        started.start_one("worker-2")
        assert started.pid("worker-2")
