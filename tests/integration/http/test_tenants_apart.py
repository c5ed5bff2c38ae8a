"""What one tenant has, tried at another's doors: token, key, signature, role. Nothing opens, and nothing is told.

The Celery door is the documented exception: who may write to the broker is inside the trust boundary, and names the
tenant itself (ops/decisions.md). It still cannot use a tenant that does not exist, nor see another's keys.
"""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from models.tenants import sync_tenant_roles
from tasks.intake.door import submit
from tests.factories import credit_args, job_rows
from tests.integration.http.problems import check
from tests.integration.http.requests import CREDIT, captured, credit, job_headers, signed
from tests.integration.http.serving import serving
from tests.unit.providers import shapes
from worker.database import Transaction, make_engine, transactions
from worker.settings import ProviderSettings, Settings, TenantSettings

TENANTS = ("acme", "globex")
SECRETS = {
    "acme": {"sandbox": "whsec_" + "QUNN" * 8, "stripe": "whsec_of_acme", "adyen": "AC" * 32},
    "globex": {"sandbox": "whsec_" + "R0xP" * 8, "stripe": "whsec_of_globex", "adyen": "60" * 32},
}
ENQUEUE = text("SELECT enqueue_job(:tenant, 'wallets.credit', :key, CAST(:args AS jsonb))")

pytestmark = pytest.mark.usefixtures("tenant")


def token(tenant: str) -> str:
    return f"the-token-of-{tenant}"


def configured(tenant: str) -> TenantSettings:
    accounts = {
        name: ProviderSettings.model_validate(
            {"name": name, "adapter": name, "webhook_secrets": (SecretStr(secret),)}
        )
        for name, secret in SECRETS[tenant].items()
    }
    return TenantSettings(name=tenant, api_tokens=(SecretStr(token(tenant)),), providers=accounts)


@pytest.fixture
def client(database_url: str) -> Iterator[httpx.Client]:
    """Of a shim with two tenants, each with every provider and secrets of its own."""
    tenants = {tenant: configured(tenant) for tenant in TENANTS}
    settings = Settings.model_validate({"database_url": database_url, "tenants": tenants})
    with serving(settings) as address, httpx.Client(base_url=address, timeout=20) as client:
        yield client


Send = Callable[[httpx.Client, str, str], httpx.Response]
"""client, the tenant of the address, the tenant whose secret signs"""


def by_sandbox(client: httpx.Client, tenant: str, signer: str) -> httpx.Response:
    body = captured()
    headers = signed(body, secret=SECRETS[signer]["sandbox"])
    return client.post(f"/v1/webhooks/{tenant}/sandbox", content=body, headers=headers)


def by_stripe(client: httpx.Client, tenant: str, signer: str) -> httpx.Response:
    body = shapes.stripe_body("charge.succeeded")
    at = int(datetime.now().timestamp())  # noqa: DTZ005 - the seconds are the same in any zone
    headers = shapes.stripe_headers(body, secret=SECRETS[signer]["stripe"], at=at)
    return client.post(f"/v1/webhooks/{tenant}/stripe", content=body, headers=headers)


def by_adyen(client: httpx.Client, tenant: str, signer: str) -> httpx.Response:
    body = shapes.adyen_body(shapes.adyen_signed(shapes.adyen_item(), SECRETS[signer]["adyen"]))
    return client.post(f"/v1/webhooks/{tenant}/adyen", content=body)


def by_adyen_payload(client: httpx.Client, tenant: str, signer: str) -> httpx.Response:
    body = json.dumps(shapes.fixture("adyen_transfer")).encode()
    headers = shapes.adyen_payload_headers(body, SECRETS[signer]["adyen"])
    return client.post(f"/v1/webhooks/{tenant}/adyen", content=body, headers=headers)


def by_mixed_adyen(client: httpx.Client, tenant: str, signer: str) -> httpx.Response:
    """An item of the tenant's own, and beside it one that the other signed."""
    items = [shapes.adyen_signed(shapes.adyen_item(), SECRETS[one]["adyen"]) for one in (tenant, signer)]
    return client.post(f"/v1/webhooks/{tenant}/adyen", content=shapes.adyen_body(*items))


SENDERS = [by_sandbox, by_stripe, by_adyen, by_adyen_payload, by_mixed_adyen]


@pytest.mark.parametrize("send", SENDERS)
@pytest.mark.parametrize(("tenant", "signer"), [TENANTS, TENANTS[::-1]])
def test_a_signature_opens_the_door_of_its_own_tenant_alone(
    client: httpx.Client, transaction: Transaction, send: Send, tenant: str, signer: str
) -> None:
    check(send(client, tenant, signer), 401, "bad_signature")
    assert job_rows(transaction, tenant) == job_rows(transaction, signer) == []
    assert send(client, signer, signer).status_code == 202
    assert job_rows(transaction, tenant) == []


def test_a_delivery_of_one_tenant_is_no_duplicate_at_another(client: httpx.Client) -> None:
    answers = [by_sandbox(client, tenant, tenant).json() for tenant in TENANTS]
    assert answers == [{"received": 1, "duplicate": False}] * 2


def test_a_token_acts_for_its_own_tenant_whatever_else_is_said(
    client: httpx.Client, transaction: Transaction
) -> None:
    headers = {**job_headers(token=token("globex")), "X-Tenant": "acme", "Tenant": "acme"}
    args = {**credit(), "tenant": "acme"}
    check(client.post(CREDIT, json=args, headers=headers), 422, "invalid_arguments")
    assert client.post(f"{CREDIT}?tenant=acme", json=credit(), headers=headers).status_code == 202
    assert (len(job_rows(transaction, "acme")), len(job_rows(transaction, "globex"))) == (0, 1)


def test_a_key_of_one_tenant_says_nothing_of_anothers(client: httpx.Client) -> None:
    answers = [
        client.post(CREDIT, json=credit(amount), headers=job_headers("k", token=token(tenant))).json()
        for amount, tenant in enumerate(TENANTS, 1)
    ]
    assert [answer["duplicate"] for answer in answers] == [False, False]
    assert answers[0]["job_id"] != answers[1]["job_id"]


@pytest.mark.parametrize("path", [CREDIT, "/v1/jobs/policies.set", "/v1/jobs/wallets.configure"])
@pytest.mark.parametrize(
    "credential", [f"Bearer {SECRETS['acme']['sandbox']}", f"Basic {token('acme')}", "Bearer acme"]
)
def test_what_opens_another_door_is_no_token(client: httpx.Client, path: str, credential: str) -> None:
    headers = {**job_headers(), "Authorization": credential}
    check(client.post(path, json={}, headers=headers), 401, "unauthenticated")


def test_a_token_signs_no_webhook(client: httpx.Client) -> None:
    body = captured()
    for tenant in TENANTS:
        for secret in (token(tenant), f"whsec_{token(tenant)}"):
            headers = {**signed(body), "Authorization": f"Bearer {secret}"}
            answer = client.post(f"/v1/webhooks/{tenant}/sandbox", content=body, headers=headers)
            check(answer, 401, "bad_signature")


def test_a_database_role_enqueues_for_its_own_tenant_and_reads_nothing(
    owner_transaction: Transaction, database_url: str, transaction: Transaction
) -> None:
    name = f"app_{uuid4().hex[:12]}"
    with owner_transaction() as session:
        session.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD 'of-a-test' IN ROLE ledgerbeat_enqueue"))
        sync_tenant_roles(session, {"acme": [name]})
    url = make_url(database_url).set(username=name, password="of-a-test")
    engine = make_engine(url.render_as_string(hide_password=False))
    app = transactions(engine)
    args = {"key": "k", "args": json.dumps(credit_args())}
    try:
        with app() as session:
            session.execute(ENQUEUE, {**args, "tenant": "acme"})
        for statement, sqlstate in (
            (ENQUEUE, "28000"),
            (text("SELECT * FROM jobs"), "42501"),
            (text("SELECT * FROM tenants"), "42501"),
            (text("SELECT * FROM webhook_deliveries"), "42501"),
            (text("INSERT INTO tenant_roles VALUES ('globex', current_user)"), "42501"),
            (text("SET ROLE ledgerbeat_worker"), "42501"),
            (text("SELECT set_config('role', 'ledgerbeat_worker', true)"), "42501"),
        ):
            with pytest.raises(DBAPIError) as refused, app() as session:
                session.execute(statement, {**args, "tenant": "globex"} if statement is ENQUEUE else {})
            assert getattr(refused.value.orig, "sqlstate", None) == sqlstate, statement
    finally:
        engine.dispose()
        with owner_transaction() as session:
            session.execute(text(f"DROP OWNED BY {name}"))
            session.execute(text(f"DROP ROLE {name}"))
    assert (len(job_rows(transaction, "acme")), len(job_rows(transaction, "globex"))) == (1, 0)


def test_the_celery_door_keeps_the_keys_of_tenants_apart(transaction: Transaction, now: datetime) -> None:
    answers = [
        submit(transaction, tenant=tenant, name="wallets.credit", key="k", args=credit_args(), now=now)
        for tenant in TENANTS
    ]
    assert [answer.duplicate for answer in answers] == [False, False]
    assert [row["tenant"] for tenant in TENANTS for row in job_rows(transaction, tenant)] == [*TENANTS]
