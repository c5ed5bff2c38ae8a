"""What goes in at the doors of a running Ledgerbeat: jobs three ways, webhooks by the vendors' own libraries."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models.jobs.accept import JobRequest, accept
from tests.e2e.app import App, credit_args, transfer_args
from tests.e2e.clients import Client, Request, accepted, post_all
from tests.e2e.running import Running
from tests.unit.providers import shapes
from worker.celery import CONCURRENCY

pytestmark = pytest.mark.e2e

DEADLOCK = "40P01"
"""Its SQLSTATE, as logs tell it: a deadlock is survived, but there should be none."""

Sign = Callable[[App, str, datetime, str | None], Request]


def by_sandbox(app: App, reference: str, at: datetime, secret: str | None = None) -> Request:
    return app.capture(reference, at=at, secret=secret)


def by_stripe(app: App, reference: str, at: datetime, secret: str | None = None) -> Request:
    """Signed by the library `stripe`."""
    charge: dict[str, Any] = {
        "id": f"ch_{reference}",
        "amount": 2000,
        "amount_captured": 2000,
        "metadata": {"reference": reference},
    }
    event = json.loads(shapes.stripe_body("charge.succeeded", **charge)) | {"id": f"evt_{reference}"}
    body = shapes.encoded(event)
    signed = shapes.stripe_headers(body, secret=secret or app.secret("stripe"), at=int(at.timestamp()))
    return app.webhook("stripe", body, signed)


def by_adyen(app: App, reference: str, at: datetime, secret: str | None = None) -> Request:
    """Signed by the library `Adyen`; such a signature has no time."""
    return app.webhook("adyen", shapes.adyen_body(adyen_item(app, reference, secret)), {})


def adyen_item(app: App, reference: str, secret: str | None = None) -> dict[str, object]:
    item = shapes.adyen_item(
        pspReference=f"PSP{reference}", merchantReference=reference, amount={"currency": "EUR", "value": 2000}
    )
    return shapes.adyen_signed(item, secret or app.secret("adyen"))


SIGNED_BY: dict[str, Sign] = {"sandbox": by_sandbox, "stripe": by_stripe, "adyen": by_adyen}


def now() -> datetime:
    return datetime.now(UTC)


def test_a_job_takes_effect_once_by_whichever_doors_it_comes(everyday: Running, app: App) -> None:
    args = credit_args("ada", 250)
    app.send_by_celery(("wallets.credit", "by-celery", args), ("wallets.credit", "by-celery", args))
    first, again = accepted(post_all(app.url, [app.job("wallets.credit", args, "by-http")] * 2, clients=1))
    with everyday.connect() as connection:
        enqueue = "SELECT enqueue_job(%s, 'wallets.credit', %s, %s::jsonb)::text"
        ids = [
            connection.execute(enqueue, (app.tenant, key, json.dumps(args))).fetchone()
            for key in ("by-sql", "by-sql", "by-http")
        ]
    assert (again["job_id"], again["duplicate"]) == (first["job_id"], True)
    assert ids[0] == ids[1]
    assert ids[2] == (first["job_id"],)
    app.settle(jobs=3)
    assert app.wallets() == {"ada": 750}
    assert app.postings() == 3


@pytest.mark.parametrize("provider", SIGNED_BY)
def test_what_a_vendors_library_signs_is_credited_once_however_often_it_comes(
    provider: str, app: App
) -> None:
    accepted(post_all(app.url, [app.expect("order-1", "ada", provider=provider)]))
    webhook = SIGNED_BY[provider](app, "order-1", now(), None)
    answers = accepted(post_all(app.url, [webhook] * 8))
    assert sorted(answer["duplicate"] for answer in answers) == [False] + 7 * [True]
    signed_anew = SIGNED_BY[provider](app, "order-1", now() - timedelta(seconds=200), None)
    assert accepted(post_all(app.url, [signed_anew])) == [{"received": 1, "duplicate": True}]
    app.settle(jobs=2)
    assert app.wallets() == {"ada": 2000}
    assert app.postings() == 1


@dataclass(frozen=True)
class Bad:
    """A webhook that must not get in, and what it is told."""

    provider: str
    code: str
    age: timedelta = timedelta()
    forge: Callable[[App, str], str | None] = lambda _app, _provider: None
    change: Callable[[Request], Request] = lambda request: request


def tampered(request: Request) -> Request:
    return replace(request, body=request.body.replace(b"2000", b"2001"))


def of_a_stranger(app: App, provider: str) -> str:
    """The secret of another tenant."""
    other = replace(app, tenant="shop-01" if app.tenant != "shop-01" else "shop-02")
    return other.secret(provider)


BAD = {
    "sandbox forged": Bad("sandbox", "bad_signature", forge=of_a_stranger),
    "stripe forged": Bad("stripe", "bad_signature", forge=of_a_stranger),
    "adyen forged": Bad("adyen", "bad_signature", forge=of_a_stranger),
    "sandbox tampered": Bad("sandbox", "bad_signature", change=tampered),
    "stripe tampered": Bad("stripe", "bad_signature", change=tampered),
    "adyen tampered": Bad("adyen", "bad_signature", change=tampered),
    "sandbox unsigned": Bad("sandbox", "bad_signature", change=lambda request: replace(request, headers={})),
    "stripe unsigned": Bad("stripe", "bad_signature", change=lambda request: replace(request, headers={})),
    "sandbox replayed later": Bad("sandbox", "stale_signature", age=timedelta(seconds=310)),
    "stripe replayed later": Bad("stripe", "stale_signature", age=timedelta(seconds=310)),
    "sandbox of the future": Bad("sandbox", "stale_signature", age=-timedelta(seconds=330)),
    "stripe of the future": Bad("stripe", "stale_signature", age=-timedelta(seconds=330)),
}


def test_what_is_forged_tampered_with_or_stale_leaves_no_trace(app: App) -> None:
    requests = [
        bad.change(SIGNED_BY[bad.provider](app, "order-1", now() - bad.age, bad.forge(app, bad.provider)))
        for bad in BAD.values()
    ]
    answers = post_all(app.url, requests, clients=1)
    assert {name: (answer.status, answer.code) for name, answer in zip(BAD, answers, strict=True)} == {
        name: (401, bad.code) for name, bad in BAD.items()
    }
    assert app.states() == {}
    assert app.count("SELECT count(*) FROM webhook_deliveries WHERE tenant = :tenant") == 0


def test_one_tenants_signature_and_token_are_nothing_at_another(everyday: Running, app: App) -> None:
    other = everyday.app()
    elsewhere = replace(app.capture("order-1"), path=f"/v1/webhooks/{other.tenant}/sandbox")
    [webhook] = post_all(app.url, [elsewhere])
    assert (webhook.status, webhook.code) == (401, "bad_signature")
    accepted(post_all(app.url, [other.job("wallets.credit", credit_args("ada", 1), "mine", token=app.token)]))
    app.settle(jobs=1)
    assert other.states() == {}
    assert (app.wallets(), other.wallets()) == ({"ada": 1}, {})


def test_opposite_transfers_by_many_clients_at_once_conserve_the_money(everyday: Running, app: App) -> None:
    owners = [f"owner-{n}" for n in range(4)]
    accepted(post_all(app.url, [app.credit(f"credit-{owner}", owner, 1000) for owner in owners]))
    chance = random.Random(1)  # noqa: S311 - an order that repeats, guards nothing
    pairs = [chance.sample(owners, 2) for _ in range(200)]
    both_ways = [pair for one, two in pairs for pair in ((one, two), (two, one))]
    transfers = [
        app.job("wallets.transfer", transfer_args(one, two, chance.randint(1, 900)), f"transfer-{n}")
        for n, (one, two) in enumerate(both_ways)
    ]
    accepted(post_all(app.url, transfers, clients=16))
    app.settle(jobs=len(owners) + len(transfers))
    states = app.states()
    assert set(states) <= {"done", "refused"}
    assert app.postings() == states["done"] > len(owners)
    wallets = app.wallets()
    assert sum(wallets.values()) == 4000
    assert min(wallets.values()) >= 0
    refused = (
        "SELECT DISTINCT result ->> 'code' AS code FROM jobs WHERE tenant = :tenant AND state = 'refused'"
    )
    assert app.rows(refused) in ([], [{"code": "insufficient_funds"}])
    app.check_books()
    assert DEADLOCK not in everyday.log("shim") + everyday.log("worker")


def test_the_same_items_in_opposite_orders_by_many_clients_at_once_are_credited_once_each(
    everyday: Running, app: App
) -> None:
    references = [f"order-{n}" for n in range(900)]
    accepted(post_all(app.url, [app.expect(one, "ada", provider="adyen") for one in references]))
    items = [adyen_item(app, reference) for reference in references]
    parts = [items[start : start + 100] for start in range(0, len(items), 100)]
    both_ways = [shapes.adyen_body(*part) for items in parts for part in (items, items[::-1]) * 2]
    answers = post_all(app.url, [app.webhook("adyen", body, {}) for body in both_ways], clients=4)
    assert {answer["received"] for answer in accepted(answers)} == {100}
    app.settle(jobs=2 * len(references))
    assert app.wallets() == {"ada": 2000 * len(references)}
    assert app.postings() == len(references)
    assert DEADLOCK not in everyday.log("shim") + everyday.log("worker")


def test_a_flood_of_other_tenants_does_not_keep_a_single_job_waiting(everyday: Running, app: App) -> None:
    """More flooded lanes than the worker has threads; the single job arrives last."""
    many, now_ = 1000, now()
    flooded: Sequence[App] = [everyday.app() for _ in range(CONCURRENCY + 1)]
    with app.transaction() as session:
        for other in flooded:
            args = credit_args("ada", 1)
            requests = [
                JobRequest(other.tenant, "wallets.credit", "app", f"flood-{n}", args) for n in range(many)
            ]
            accept(session, requests, now=now_)
    client = Client(app.url)
    accepted([*(client.post(other.credit("last")) for other in flooded), client.post(app.credit("single"))])
    client.close()
    app.settle(jobs=1)
    single = "SELECT finished_at FROM jobs WHERE tenant = :tenant"
    [done] = app.rows(single)
    for other in flooded:
        other.settle(jobs=many + 1)
    last = max(row["finished_at"] for other in flooded for row in other.rows(single))
    assert done["finished_at"] < last
