"""The sandbox provider as a server: who gets in, what it refuses, its settings, and its life as a process."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from ops.embedded.ports import free_port
from ops.sandbox.config import ConfigError, SandboxConfig
from tests.integration.sandbox.running import API_KEY, SECRET, Receiver, Sandbox
from tests.waiting import PATIENCE_SECONDS

RUN = "import sys; from ops.sandbox.server import run; run('127.0.0.1', int(sys.argv[1]), *sys.argv[2:6])"


@pytest.mark.parametrize("path", ["/payouts?reference=x", "/records", "/_truth", "/_faults", "/no-such-page"])
@pytest.mark.parametrize(
    "key", ["", "Bearer", "Bearer wrong", "bearer " + API_KEY, "Bearer " + API_KEY + "x"]
)
def test_nothing_is_answered_without_the_key(sandbox: Sandbox, path: str, key: str) -> None:
    answer = sandbox.get(path, headers={"Authorization": key})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_health_needs_no_key(sandbox: Sandbox) -> None:
    assert sandbox.get("/healthz", headers={"Authorization": ""}).json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("raw", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "malformed_json"),
        (b"[]", "application/json", 400, "malformed_json"),
        (b'{"amount_minor": NaN}', "application/json", 400, "malformed_json"),
        (b"\xff\xfe", "application/json", 400, "malformed_json"),
        (b"[" * 60_000, "application/json", 400, "malformed_json"),
        (b'{"amount_minor": ' + b"9" * 5000 + b"}", "application/json", 400, "malformed_json"),
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b"{}", "application/json; charset=utf-8", 422, "invalid_request"),
        (b" " * 70_000, "application/json", 413, "body_too_large"),
    ],
)
def test_a_body_that_is_not_a_small_json_object_is_refused(
    sandbox: Sandbox, raw: bytes, kind: str, status: int, code: str
) -> None:
    answer = sandbox.post("/deposits", content=raw, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_unknown_pages_and_methods_are_problems_too(sandbox: Sandbox) -> None:
    assert sandbox.get("/no-such-page").json()["code"] == "not_found"
    assert sandbox.delete("/records").json()["code"] == "method_not_allowed"


def test_settings_change_while_it_runs(sandbox: Sandbox, receiver: Receiver) -> None:
    change = {"settle_seconds": 0, "visibility_seconds": 2.5}
    assert sandbox.post("/_settings", json=change).json() == change | {"webhook_url": receiver.url}
    sandbox.pay_out("p-1")
    sandbox.flush()
    assert receiver.types() == ["payout.submitted", "payout.paid"]
    assert sandbox.post("/_settings", json={"visibility_seconds": 11}).status_code == 422


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"api_key": " "}, "api_key is empty"),
        ({"webhook_url": "shim:8080", "webhook_secret": SECRET}, "http"),
        ({"webhook_url": "http://shim:8080/"}, "webhook_secret is not"),
        ({"webhook_secret": "whsec_c2hvcnQ="}, "24 to 64"),
        ({"webhook_secret": "whsec_!"}, "24 to 64"),
        ({"webhook_secret": "c2hvcnQ="}, "whsec_"),
        ({"visibility_seconds": 10.5}, "0 to 10"),
        ({"settle_seconds": -1.0}, "settle_seconds"),
        ({"concurrency": 0}, "concurrency"),
    ],
)
def test_a_bad_setting_is_refused_with_a_sentence(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        SandboxConfig(**({"api_key": API_KEY} | change))  # type: ignore[arg-type]


def test_secrets_are_not_printed() -> None:
    assert SECRET not in repr(SandboxConfig(API_KEY, webhook_secret=SECRET))
    assert API_KEY not in repr(SandboxConfig(API_KEY))


def test_a_process_keeps_its_state_over_a_clean_stop(tmp_path: Path, receiver: Receiver) -> None:
    port, state_file = free_port(), tmp_path / "sandbox.json"
    client = Sandbox(
        base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {API_KEY}"}, trust_env=False
    )
    command = [sys.executable, "-c", RUN, str(port), API_KEY, receiver.url, SECRET, str(state_file)]
    with client:
        first = start(command, client)
        payout = client.pay_out("p-1").json()
        client.deposit("d-1")
        assert stop(first) == -signal.SIGTERM
        second = start(command, client)
        assert client.pay_out("p-1").json() == payout
        assert client.truth("payouts", "p-1") == {"left": (1, {"EUR": 1250})}
        client.flush()
        assert client.looked_up("p-1") == ["paid"]
        assert stop(second) == -signal.SIGTERM
    assert set(receiver.types()) == {"payout.submitted", "payout.paid", "deposit.captured"}


def start(command: list[str], client: httpx.Client) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            client.get("/healthz")
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return process
    process.kill()
    raise AssertionError("the sandbox did not start")


def stop(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(60)
