"""Thousands of deposits by webhook, each told twice, reach the ledger once."""

import json
from collections import Counter

import httpx
import pytest

from tests.e2e.app import App
from tests.e2e.clients import Request, accepted, post_all
from tests.e2e.running import TENANTS, Running

pytestmark = pytest.mark.e2e

DEPOSITS = 5000
OWNERS = 50


def amount_of(number: int) -> int:
    return 100 + number % 97


@pytest.fixture
def app(everyday: Running) -> App:
    """The tenant with the account at the sandbox."""
    return everyday.app(TENANTS[0])


def order(app: App, number: int) -> Request:
    """At the sandbox: a deposit that is captured at once, and whose webhook is sent twice."""
    key = app.settings.providers["sandbox"].api_key
    assert key is not None
    body = {
        "reference": f"order-{number}",
        "amount_minor": amount_of(number),
        "currency": "EUR",
        "metadata": {"fault": "webhook_duplicate:1"},
    }
    headers = {"Authorization": f"Bearer {key.get_secret_value()}", "Content-Type": "application/json"}
    return Request("/deposits", json.dumps(body).encode(), headers)


def test_five_thousand_deposits_each_told_twice_are_credited_once(everyday: Running, app: App) -> None:
    numbers = range(DEPOSITS)
    announced = [app.expect(f"order-{n}", f"owner-{n % OWNERS}", amount_of(n)) for n in numbers]
    accepted(post_all(app.url, announced))

    taken = post_all(everyday.stack.sandbox_url, [order(app, n) for n in numbers])
    assert {answer.status for answer in taken} == {201}
    with httpx.Client(
        base_url=everyday.stack.sandbox_url, headers=order(app, 0).headers, timeout=330
    ) as sandbox:
        told = sandbox.post("/_flush", json={"timeout_seconds": 300}).json()
        truth = sandbox.get("/_truth").json()["deposits"]
    assert told == {"idle": True, "pending": 0}
    assert Counter(deposit["captured"]["times"] for deposit in truth.values()) == {1: DEPOSITS}
    app.settle(jobs=2 * DEPOSITS)

    expected: Counter[str] = Counter()
    for n in numbers:
        expected[f"owner-{n % OWNERS}"] += amount_of(n)
    assert app.wallets() == expected
    assert app.states() == {"done": 2 * DEPOSITS}
    kinds = app.rows("SELECT kind, count(*) FROM ledger_transactions WHERE tenant = :tenant GROUP BY 1")
    assert kinds == [{"kind": "deposit.captured", "count": DEPOSITS}]
    once = (
        "SELECT count(*) FROM (SELECT FROM ledger_transactions WHERE tenant = :tenant GROUP BY job_id) jobs"
    )
    assert app.count(once) == DEPOSITS
    received = 'ledgerbeat_http_jobs_total{{answer="{}",name="webhooks.event",tenant="{}"}} {}.0'
    metrics = httpx.get(f"{app.url}/metrics", timeout=60).text
    for answer in ("accepted", "duplicate"):
        assert received.format(answer, app.tenant, DEPOSITS) in metrics

    verified = everyday.cli("verify")
    assert (verified.returncode, verified.stderr) == (0, ""), verified.stdout
