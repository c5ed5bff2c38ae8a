"""The doctor sees webhooks that take no effect, and settings by which the wrong ones would."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from ops.doctor import Finding
from tests.factories import accept_jobs, job_request
from tests.integration.doctor.patient import Environment, without_redis
from worker.database import Transaction

HEX = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
STYLE = "this endpoint sends thin events"


def dead(transaction: Transaction, code: str, *causes: str, provider: str = "sandbox") -> None:
    """Events that ended so."""
    requests = [
        job_request("webhooks.event", {"provider": provider}, key=f"{code}-{number}", origin="provider")
        for number, _ in enumerate(causes)
    ]
    ids = accept_jobs(transaction, requests, now=datetime.now(UTC))
    with transaction() as session:
        for job_id, cause in zip(ids, causes, strict=True):
            session.execute(
                text("""UPDATE jobs SET state = 'dead', finished_at = due_at,
                        result = jsonb_build_object('code', CAST(:code AS text), 'cause', CAST(:cause AS text))
                        WHERE id = :id"""),
                {"id": job_id, "code": code, "cause": cause},
            )


def about(environment: Environment, check: str, verdict: str) -> list[Finding]:
    return [one for one in without_redis(environment) if (one.check, one.verdict) == (check, verdict)]


def adyen(environment: Environment, more: str = "") -> Environment:
    """With an account at Adyen beside the sandbox."""
    path = Path(environment["LEDGERBEAT_CONFIG"])
    table = f'[tenants.acme.providers.adyen]\nadapter = "adyen"\nwebhook_secrets = ["env:ADYEN"]\n{more}\n'
    path.write_text(path.read_text() + table)
    return environment | {"ADYEN": HEX}


def test_events_of_another_account_are_told_by_field_with_what_to_do(
    environment: Environment, transaction: Transaction
) -> None:
    cause = "livemode is not as the settings of this account expect it (live = true)"
    dead(
        transaction,
        "other_account",
        f"charge.succeeded: {cause}",
        f"charge.refunded: {cause}",
        "x.y: account is",
    )
    first, second = about(environment, "webhooks", "warning")
    assert second.found == f"acme/sandbox: 2 events are dead as other_account ({cause})"
    assert first.found == "acme/sandbox: 1 events are dead as other_account (account is)"
    assert "tenants.acme.providers.sandbox" in second.fix


def test_thin_events_are_a_problem(environment: Environment, transaction: Transaction) -> None:
    dead(transaction, "thin_event", f"v1.charge.succeeded: {STYLE}", f"v1.charge.refunded: {STYLE}")
    [found] = about(environment, "webhooks", "problem")
    assert found.found == f"acme/sandbox: 2 events are dead as thin_event ({STYLE})"
    assert "payload style 'snapshot'" in found.fix


def test_parked_events_of_an_unknown_type_are_a_problem_at_once(
    environment: Environment, transaction: Transaction
) -> None:
    requests = [
        job_request(
            "webhooks.event",
            {"provider": "sandbox", "type": type_},
            key=f"unknown-{number}",
            origin="provider",
        )
        for number, type_ in enumerate(["charge.teleported", "charge.vanished", "charge.teleported"])
    ]
    ids = accept_jobs(transaction, requests, now=datetime.now(UTC))
    with transaction() as session:
        session.execute(
            text("""UPDATE jobs SET state = 'parked', last_error = 'unknown_event_type', wait_keys = '{}',
                    due_at = due_at + interval '1 day' WHERE id = ANY(:ids)"""),
            {"ids": ids},
        )
    [found] = about(environment, "webhooks", "problem")
    assert found.found == (
        "acme/sandbox: 3 events are parked as unknown_event_type (charge.teleported, charge.vanished)"
    )
    assert "ignored_events" in found.fix


def test_other_dead_jobs_are_not_its_matter(environment: Environment, transaction: Transaction) -> None:
    dead(transaction, "malformed_event", "x: y")
    assert [one.found for one in about(environment, "webhooks", "ok")] != []


@pytest.mark.parametrize(
    ("names", "more", "told"),
    [
        (("AcmeECOM", "OtherShop"), "", True),
        (("AcmeECOM", "AcmeECOM"), "", False),
        ((), "", False),
        (("AcmeECOM", "OtherShop"), 'merchant_accounts = ["AcmeECOM"]', False),
    ],
)
def test_several_merchant_accounts_are_a_problem_where_none_is_listed(
    environment: Environment, transaction: Transaction, names: tuple[str, ...], more: str, told: bool
) -> None:
    with transaction() as session:
        for number, name in enumerate(names):
            body = json.dumps({"n": number, "cut": "\ud83d", "merchantAccountCode": name}).encode()
            session.execute(
                text("""INSERT INTO webhook_deliveries (tenant, provider, event_keys, body_sha256, body, secret_index,
                        received_at) VALUES ('acme', 'adyen', '{}', sha256(:body), :body, 0, now())"""),
                {"body": body},
            )
    found = about(adyen(environment, more), "webhooks", "problem")
    assert [one.found for one in found] == (
        [
            "acme/adyen is told of several merchant accounts (AcmeECOM, OtherShop), and takes the money of all of them"
        ]
        if told
        else []
    )


@pytest.mark.parametrize(
    ("more", "warned"), [("", True), ('merchant_accounts = ["A"]', False), ("merchant_accounts = []", False)]
)
def test_an_account_at_adyen_without_merchant_accounts_is_told_to_list_them(
    environment: Environment, more: str, warned: bool
) -> None:
    found = [one.fix for one in about(adyen(environment, more), "config", "warning")]
    assert any("tenants.acme.providers.adyen.merchant_accounts" in fix for fix in found) == warned


@pytest.mark.parametrize(
    ("key", "live", "wrong"),
    [
        ("sk_test_1", "true", True),
        ("rk_test_1", "true", True),
        ("sk_live_1", "false", True),
        ("sk_live_1", "true", False),
        ("sk_test_1", "false", False),
        ("mk_test_1", "true", False),
        ("sk_", "true", False),
    ],
)
def test_a_key_of_the_other_mode_is_a_problem(
    environment: Environment, key: str, live: str, wrong: bool
) -> None:
    path = Path(environment["LEDGERBEAT_CONFIG"])
    table = '[tenants.acme.providers.stripe]\nadapter = "stripe"\nwebhook_secrets = ["env:WH"]\napi_key = "env:KEY"\n'
    path.write_text(f"{path.read_text()}{table}live = {live}\n")
    found = about(environment | {"WH": "whsec_of_stripes", "KEY": key}, "config", "problem")
    assert [one.fix.startswith("set tenants.acme.providers.stripe.live = ") for one in found] == [
        True
    ] * wrong
    assert not any(key in one.found + one.fix for one in found)
