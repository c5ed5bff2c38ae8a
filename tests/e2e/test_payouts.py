"""Payouts through the running stack, over HTTP alone: asked for, approved by another person, sent, paid, told of.

With everything broken on the way, thousands at a time: tests/chaos.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.app import App, credit_args
from tests.e2e.clients import accepted, post_all
from tests.e2e.paying import TENANT, paying, sandbox_of
from tests.e2e.running import Running, new_home
from tests.waiting import until

pytestmark = pytest.mark.e2e

PAID_SECONDS = 240.0
POLICY = {
    "approval_threshold_minor": 1000,
    "payout_cooldown_seconds": 1,
    "in_doubt_ladder_seconds": [1, 2, 3, 5, 8, 13],
    "actor": "ops:lee",
    "reason": "a test",
}


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """Two workers for payouts, one for the rest, Beat, shim and sandbox."""
    with new_home() as home, paying(home) as running:
        yield running


@pytest.fixture(scope="module")
def app(running: Running) -> App:
    """Who asks for more than 10 EUR needs somebody else's approval."""
    app = running.app(TENANT)
    do(app, "policies.set", POLICY, "policy")
    return app


def do(app: App, name: str, args: dict[str, Any], key: str) -> dict[str, Any]:
    """Over HTTP; what became of the job, and its id."""
    [body] = accepted(post_all(app.url, [app.job(name, args, key)]))
    query = "SELECT id::text AS id, state, result FROM jobs WHERE id = CAST(:id AS uuid) AND finished_at IS NOT NULL"
    [row] = until(lambda: app.rows(query, id=body["job_id"]), within_seconds=PAID_SECONDS, what=name)
    return {"id": row["id"], "job": row["state"], **(row["result"] or {})}


def ask(app: App, key: str, owner: str, amount_minor: int, destination: str = "ba_ada") -> dict[str, Any]:
    args = {"owner": owner, "amount_minor": amount_minor, "currency": "EUR", "provider": "sandbox",
            "destination": destination, "requested_by": "app:cashier"}  # fmt: skip
    return do(app, "payouts.request", args, key)


def decide(app: App, name: str, payout_id: str, actor: str) -> dict[str, Any]:
    args = {"payout_id": payout_id, "actor": actor, "reason": "checked"}
    return do(app, f"payouts.{name}", args, f"{name}-{payout_id}-{actor}")


def wait_for(app: App, payout_id: str, state: str) -> None:
    query = "SELECT state FROM payouts WHERE id = CAST(:id AS uuid)"
    until(
        lambda: app.rows(query, id=payout_id)[0]["state"] == state,
        within_seconds=PAID_SECONDS,
        what=f"{payout_id} {state}",
    )


def test_a_payout_is_approved_by_another_person_sent_and_paid(running: Running, app: App) -> None:
    do(app, "wallets.credit", credit_args("ada", 5000), "fund-ada")
    asked = ask(app, "payout-ada", "ada", 1500)
    assert (asked["job"], asked["payout_id"], asked["state"]) == ("done", asked["id"], "awaiting_approval")
    assert app.wallets()["ada"] == 3500

    oneself = decide(app, "approve", asked["id"], "app:cashier")
    assert (oneself["job"], oneself["code"]) == ("refused", "same_person")
    assert decide(app, "approve", asked["id"], "ops:lee")["state"] == "approved"
    wait_for(app, asked["id"], "paid")

    assert app.wallets()["ada"] == 3500
    balances = (
        "SELECT balance_minor FROM accounts WHERE tenant = :tenant AND code = 'provider:sandbox:clearing'"
    )
    assert app.rows(balances) == [{"balance_minor": 1500}]
    with sandbox_of(running) as sandbox:
        reference = f"{asked['id'].replace('-', '')}-1"
        truth = sandbox.get("/_truth", params={"reference": reference}).json()["payouts"][reference]
    assert (truth["left"], truth["back"]["times"]) == ({"times": 1, "minor": {"EUR": 1500}}, 0)
    app.check_books()


def test_the_command_line_tells_the_whole_story_of_one(running: Running, app: App) -> None:
    do(app, "wallets.credit", credit_args("bob", 100), "fund-bob")
    asked = ask(app, "payout-bob", "bob", 100, "ba_bob~fault:decline_retryable:1")
    wait_for(app, asked["id"], "paid")

    told = running.cli("payouts", "show", asked["id"], "--json")
    assert told.returncode == 0, told.stderr
    story = json.loads(told.stdout)
    assert [one["outcome"] for one in story["attempts"]] == ["declined", "paid"]
    assert app.wallets()["bob"] == 0


def test_what_fails_for_good_gives_the_money_back(running: Running, app: App) -> None:
    do(app, "wallets.credit", credit_args("eve", 100), "fund-eve")
    asked = ask(app, "payout-eve", "eve", 60, "ba_eve~fault:decline_final")
    wait_for(app, asked["id"], "failed")
    assert app.wallets()["eve"] == 100
    app.check_books()
