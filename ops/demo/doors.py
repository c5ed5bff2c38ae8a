"""The doors of a running Ledgerbeat, as the apps and providers of the demo use them."""

import json
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import psycopg
from celery import Celery
from sqlalchemy.engine import make_url

from ops.demo.vendors import Webhook
from worker.settings import Settings

TENANT = "demo"


@dataclass(frozen=True, slots=True)
class Answer:
    """One line of the demo's log of what came in: who knocked, with what, and the answer."""

    door: str
    what: str
    status: str
    note: str = ""


@dataclass(slots=True)
class Doors:
    """Calls every door and keeps a log of the answers."""

    settings: Settings
    shim_url: str
    sandbox_url: str
    log: list[Answer] = field(default_factory=list)
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=10))

    def secret(self, provider: str) -> str:
        return self.settings.tenants[TENANT].providers[provider].webhook_secrets[0].get_secret_value()

    def job(
        self, name: str, args: dict[str, Any], *, key: str | None = None, token: str | None = None
    ) -> str:
        """POST /v1/jobs/{name}, as an upstream app does. The job's id; empty when it was refused at the door."""
        known = self.settings.tenants[TENANT].api_tokens[0].get_secret_value()
        answer = self.http.post(
            f"{self.shim_url}/v1/jobs/{name}",
            json=args,
            headers={"authorization": f"Bearer {token or known}", "idempotency-key": key or uuid4().hex},
        )
        self._note("HTTP", f"{name} {_brief(args)}", answer)
        return str(answer.json().get("job_id", ""))

    def webhook(self, provider: str, webhook: Webhook, what: str) -> None:
        """POST /v1/webhooks/demo/{provider}, as the provider does."""
        answer = self.http.post(
            f"{self.shim_url}/v1/webhooks/{TENANT}/{provider}",
            content=webhook.body,
            headers={"content-type": "application/json"} | webhook.headers,
        )
        self._note("webhook", what, answer)

    def sql(self, name: str, args: dict[str, Any], *, key: str) -> None:
        """SELECT enqueue_job(...) inside the app's own transaction."""
        url = make_url(self.settings.require_database_url()).set(drivername="postgresql")
        with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
            connection.execute("CREATE TEMPORARY TABLE orders (id text PRIMARY KEY) ON COMMIT DROP")
            connection.execute("INSERT INTO orders VALUES (%s)", (key,))
            connection.execute(
                "SELECT enqueue_job(%s, %s, %s, %s::jsonb)", (TENANT, name, key, json.dumps(args))
            )
        self.log.append(
            Answer("SQL", f"{name} {_brief(args)}", "committed", "with the app's own transaction")
        )

    def celery(self, name: str, args: dict[str, Any], *, key: str) -> None:
        """Send `jobs.accept`, as an app that speaks Celery does."""
        with Celery(broker=self.settings.require_broker_url()) as app:
            app.send_task(
                "jobs.accept",
                kwargs={"tenant": TENANT, "name": name, "idempotency_key": key, "args": args},
                ignore_result=True,
            )
        self.log.append(Answer("Celery", f"jobs.accept {name} {_brief(args)}", "sent"))

    def at_sandbox(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """A call to the sandbox provider; it answers with webhooks of its own."""
        answer = self.http.post(
            f"{self.sandbox_url}{path}", json=body, headers=self._sandbox_headers(), timeout=40
        )
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def lost_webhooks(self) -> set[str]:
        """The types of the webhooks that the sandbox was told to lose."""
        answer = self.http.get(f"{self.sandbox_url}/_webhooks?state=lost", headers=self._sandbox_headers())
        answer.raise_for_status()
        return {event["type"] for event in answer.json()["data"]}

    def end_faults(self) -> None:
        """From now on the sandbox does what it should, but for destinations that ask for a fault."""
        self.http.delete(f"{self.sandbox_url}/_faults", headers=self._sandbox_headers()).raise_for_status()

    def truth(self) -> dict[str, Any]:
        """How often money really left the sandbox, by our reference."""
        answer = self.http.get(f"{self.sandbox_url}/_truth", headers=self._sandbox_headers())
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()["payouts"]
        return found

    def log_sandbox_webhooks(self) -> None:
        """Note how the webhooks fared that the sandbox sent by itself."""
        answer = self.http.get(f"{self.sandbox_url}/_webhooks", headers=self._sandbox_headers())
        answer.raise_for_status()
        for event in answer.json()["data"]:
            what = f"{event['type']} {event['data']['reference']}"
            note = f"sent {event['tries']} times" if event["tries"] > 1 else ""
            self.log.append(Answer("webhook", what, str(event["last_status"]), note))

    def _sandbox_headers(self) -> dict[str, str]:
        key = self.settings.tenants[TENANT].providers["sandbox"].api_key
        return {"authorization": f"Bearer {key.get_secret_value() if key is not None else ''}"}

    def _note(self, door: str, what: str, answer: httpx.Response) -> None:
        body = answer.json()
        note = body.get("code") or ("duplicate" if body.get("duplicate") else "")
        self.log.append(Answer(door, what, str(answer.status_code), note))


def _brief(args: dict[str, Any]) -> str:
    shown = [
        args[name]
        for name in ("owner", "from_owner", "to_owner", "reference", "event", "actor", "destination")
        if name in args
    ]
    return " ".join([*map(str, shown), *(f"{args[n]}" for n in ("amount_minor", "currency") if n in args)])
