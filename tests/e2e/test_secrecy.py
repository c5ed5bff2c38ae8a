"""No secret and no personal data of a running Ledgerbeat reaches Flower, a log, a metric or a command line."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import httpx
import pytest

from ops.development import development_secret
from ops.processes import FLOWER_USER
from tests.e2e.app import App, credit_args
from tests.e2e.clients import Request, post_all
from tests.e2e.running import Running, new_secret, processes_of
from tests.unit.providers import shapes
from tests.waiting import insisting, until

pytestmark = pytest.mark.e2e

BEHIND_THE_PASSWORD = (
    "/",
    "/workers",
    "/tasks",
    "/task/any",
    "/broker",
    "/api/workers",
    "/api/tasks",
    "/api/task/types",
    "/api/task/info/any",
    "/api/queues/length",
)
BAIT_AMOUNT = 918_273_645


@pytest.fixture
def flower(everyday: Running) -> Iterator[httpx.Client]:
    """Flower, with the password."""
    password = development_secret(everyday.stack.home, "flower-password")
    with httpx.Client(base_url=everyday.stack.flower_url, auth=(FLOWER_USER, password), timeout=60) as client:
        yield client


@pytest.mark.parametrize("path", BEHIND_THE_PASSWORD)
def test_flower_shows_nothing_without_the_password(
    everyday: Running, flower: httpx.Client, path: str
) -> None:
    address = everyday.stack.flower_url + path
    assert httpx.get(address, timeout=60).status_code == 401
    assert httpx.get(address, auth=(FLOWER_USER, "a guess"), timeout=60).status_code == 401
    assert flower.get(path).status_code in ({404} if path.endswith("any") else {200})


def test_flower_changes_nothing_even_with_the_password(everyday: Running, flower: httpx.Client) -> None:
    workers = until(lambda: list(flower.get("/api/workers", params={"refresh": 1}).json()), what="a worker")
    pids = everyday.stack.pids()
    shutdowns = [f"/api/worker/shutdown/{worker}" for worker in workers]
    for path in (*shutdowns, "/api/task/send-task/intake.sweep", "/api/task/send-task/payouts.attempt"):
        assert flower.post(path, json={"args": []}).status_code in {401, 403, 405}, path
    assert everyday.stack.pids() == pids


@dataclass(frozen=True)
class Bait:
    """Words that stand nowhere else; none of them may be seen."""

    email: str = field(default_factory=lambda: f"{new_secret()}@bait.example")
    name: str = field(default_factory=new_secret)
    owner: str = field(default_factory=lambda: f"owner-{new_secret()}")
    token: str = field(default_factory=new_secret)
    secret: str = field(default_factory=lambda: f"whsec_{new_secret()}")

    @property
    def person(self) -> dict[str, str]:
        return {"email": self.email, "name": self.name}


def webhooks(app: App, bait: Bait) -> list[Request]:
    """A genuine one of each provider with a person in it, one that is unknown, and a forged one."""
    at = datetime.now(UTC)
    sandbox = shapes.sandbox_body(event_id="evt_1", reference="order-1", customer=bait.person)
    charge = shapes.stripe_body("charge.succeeded", billing_details=bait.person, description=bait.name)
    strange = shapes.stripe_body(f"charge.{bait.name}", customer=bait.email)
    item = shapes.adyen_item(shopperEmail=bait.email, shopperName=bait.person, merchantReference="order-3")
    adyen = shapes.adyen_body(shapes.adyen_signed(item, app.secret("adyen")))
    secrets = (app.secret("stripe"), app.secret("stripe"), bait.secret)
    return [
        app.webhook("sandbox", sandbox, shapes.sandbox_headers(
            sandbox, secret=app.secret("sandbox"), at=at, event_id="evt_1"
        )),
        app.webhook("adyen", adyen, {}),
        *(app.webhook("stripe", body, shapes.stripe_headers(body, secret=secret, at=int(at.timestamp())))
          for body, secret in zip((charge, strange, charge), secrets, strict=True)),
    ]  # fmt: skip


def jobs(app: App, bait: Bait) -> list[Request]:
    """One that is done, one whose arguments are wrong, one whose token is, one without sense."""
    done = app.credit("by-http", bait.owner, BAIT_AMOUNT)
    wrong = app.job("wallets.credit", credit_args(bait.owner, 1) | {bait.name: bait.email}, "wrong")
    stranger = app.job("wallets.credit", credit_args(bait.owner, 1), "stranger", token=bait.token)
    return [done, wrong, stranger, replace(done, body=bait.email.encode())]


def tell_the_story(app: App, bait: Bait) -> None:
    """Through every door, with bait in all that is sent."""
    answers = post_all(app.url, [*webhooks(app, bait), *jobs(app, bait)], clients=1)
    assert [answer.status for answer in answers] == [202, 202, 202, 202, 401, 202, 422, 401, 400]
    app.send_by_celery(
        ("wallets.credit", "by-celery", credit_args(bait.owner, BAIT_AMOUNT)),
        ("wallets.credit", "by-celery", credit_args(bait.owner, BAIT_AMOUNT + 1)),
        ("wallets.debit", "wrong-by-celery", {bait.name: bait.email}),
        ("wallets.debit", "unstorable", {"owner": f"{bait.owner}\0", "amount_minor": BAIT_AMOUNT}),
    )
    ended = {"by-http": "done", "by-celery": "done", "wrong-by-celery": "dead", "unstorable": "dead"}
    states = "SELECT idempotency_key, state FROM jobs WHERE tenant = :tenant AND origin = 'app'"
    until(lambda: {row["idempotency_key"]: row["state"] for row in app.rows(states)} == ended)
    until(lambda: app.states()["queued"] == 0)


def seen(running: Running, flower: httpx.Client) -> Mapping[str, str]:
    """Everything that people and machines look at, by where it stands."""
    tasks = json.loads(flower.get("/api/tasks", params={"limit": 100_000}).text)
    told = [task for task, facts in tasks.items() if facts["name"] == "jobs.accept"]
    pages = ["/", "/tasks", "/broker", "/metrics", "/api/workers?refresh=1", "/api/tasks?limit=100000"]
    pages += [path for task in told for path in (f"/task/{task}", f"/api/task/info/{task}")]
    found = {path: flower.get(path).text for path in pages}
    found |= {file.name: file.read_text(errors="replace") for file in (running.stack.home / "logs").iterdir()}
    found["/metrics of the shim"] = httpx.get(f"{running.stack.http_url}/metrics", timeout=60).text
    return found | {f"ps {pid}": line for pid, line in processes_of(running.stack.home).items()}


def test_no_secret_and_no_person_is_seen_anywhere(everyday: Running, app: App, flower: httpx.Client) -> None:
    bait = Bait()
    tell_the_story(app, bait)

    def of_this_app() -> list[str]:
        tasks = flower.get("/api/tasks", params={"limit": 100_000}).json().values()
        accepts = [task for task in tasks if task["name"] == "jobs.accept" and app.tenant in task["kwargs"]]
        return [task["state"] for task in accepts if task["state"] in {"SUCCESS", "FAILURE"}]

    insisting(app.nudge, lambda: len(of_this_app()) == 4, what="Flower's view of the messages")
    found = seen(everyday, flower)
    assert sorted(of_this_app()) == ["FAILURE", "SUCCESS", "SUCCESS", "SUCCESS"]
    assert "by-celery" in found["/api/tasks?limit=100000"]
    assert "intake.drained" in found["worker.log"]
    assert app.tenant in found["/metrics of the shim"]

    files = [
        file for file in everyday.stack.home.glob("*/*") if file.parent.name.startswith(("shop-", "secrets"))
    ]
    secrets = {str(file.relative_to(everyday.stack.home)): file.read_text().strip() for file in files}
    assert len(secrets) > 100
    hidden = {**secrets, "bait amount": str(BAIT_AMOUNT), **vars(bait)}
    assert {
        (where, what) for where, text in found.items() for what, value in hidden.items() if value in text
    } == set()
