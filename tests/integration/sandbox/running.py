"""A sandbox provider and a webhook receiver, both real HTTP servers on free ports of this machine."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import httpx
import uvicorn
from standardwebhooks import Webhook

from ops.sandbox.app import create_app
from ops.sandbox.config import SandboxConfig
from tests.waiting import PATIENCE_SECONDS, until

API_KEY = "sk_test_sandbox"
SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes....").decode()


class Receiver:
    """Takes webhooks, refuses what `standardwebhooks` does not verify, answers as `script` says, then 202."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.script: list[tuple[int, dict[str, str]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1/webhooks/acme/sandbox"

    def types(self, reference: str | None = None) -> list[str]:
        return [e["type"] for e in self.events if reference in (None, e["data"].get("reference"))]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(60)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"]))
                status, headers = receiver.script.pop(0) if receiver.script else (202, {})
                if status == 202:
                    Webhook(SECRET).verify(raw.decode(), dict(self.headers.items()))
                    receiver.ids.append(self.headers["webhook-id"])
                    receiver.events.append(json.loads(raw))
                self.send_response(status)
                for name, value in {"content-length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                pass

        return Handler


class Sandbox(httpx.Client):
    """A client of one running sandbox, with its bearer key."""

    def pay_out(
        self, reference: str, destination: str = "bank-1", key: str | None = None, **more: Any
    ) -> httpx.Response:
        body = {
            "reference": reference,
            "amount_minor": 1250,
            "currency": "EUR",
            "destination": destination,
        } | more
        return self.post("/payouts", json=body, headers={"Idempotency-Key": key or f"key-{reference}"})

    def deposit(self, reference: str, amount_minor: int = 500, **more: Any) -> dict[str, Any]:
        body = {"reference": reference, "amount_minor": amount_minor, "currency": "EUR"} | more
        answer = self.post("/deposits", json=body)
        assert answer.status_code == 201, answer.text
        deposit: dict[str, Any] = answer.json()
        return deposit

    def script(self, fault: str, **more: Any) -> None:
        assert self.post("/_faults", json={"fault": fault} | more).status_code == 201

    def flush(self) -> None:
        """Returns when every webhook has gone its way."""
        assert self.post(
            "/_flush", json={"timeout_seconds": PATIENCE_SECONDS}, timeout=2 * PATIENCE_SECONDS
        ).json() == {"idle": True, "pending": 0}

    def truth(self, kind: str, reference: str) -> dict[str, Any]:
        flows: dict[str, Any] = (
            self.get("/_truth", params={"reference": reference}).json()[kind].get(reference, {})
        )
        return {name: (flow["times"], flow["minor"]) for name, flow in flows.items() if flow["times"]}

    def looked_up(self, reference: str) -> list[str]:
        return [p["status"] for p in self.get("/payouts", params={"reference": reference}).json()["data"]]


@contextmanager
def running_sandbox(config: SandboxConfig) -> Iterator[Sandbox]:
    """The provider under uvicorn in a thread, stopped cleanly at the end."""
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(config),
            host="127.0.0.1",
            port=0,
            log_level="error",
            ws="none",
            timeout_graceful_shutdown=1,
        )
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        with Sandbox(
            base_url=f"http://127.0.0.1:{_port(server)}",
            headers={"Authorization": f"Bearer {API_KEY}"},
            timeout=PATIENCE_SECONDS,
            trust_env=False,
        ) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(60)


def _port(server: uvicorn.Server) -> int:
    until(lambda: server.started, what="the sandbox's start")
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port
