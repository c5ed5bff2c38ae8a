"""Whose money is it? What an authentic event says of its account and mode, against the account's settings."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.providers import shapes
from worker.providers import adyen, stripe
from worker.providers.ownership import Ownership
from worker.providers.port import ProviderEvent

ACCOUNT, OTHER = "acct_ours", "acct_theirs"
LIVE = Ownership()
GONE = object()


def changed(value: dict[str, Any], changes: dict[str, Any]) -> bytes:
    return shapes.encoded({name: member for name, member in (value | changes).items() if member is not GONE})


def told_by_stripe(ours: Ownership, type_: str = "charge.succeeded", **changes: Any) -> ProviderEvent:
    subject = {"payout": "stripe_payout", "transfer": "stripe_transfer"}.get(
        type_.split(".")[0], "stripe_charge"
    )
    status = {"status": "paid"} if subject == "stripe_payout" else {}
    event = json.loads(shapes.stripe_body(type_, subject, **status))
    (told,) = stripe.parse(changed(event, changes), {}, ours=ours)
    return told


def told_by_adyen(ours: Ownership, live: object = "true", **changes: Any) -> ProviderEvent:
    item = shapes.adyen_signed(shapes.adyen_item(**changes))
    around = {"live": live, "notificationItems": [{"NotificationRequestItem": item}]}
    (told,) = adyen.parse(changed(around, {}), {}, ours=ours)
    return told


def told_by_balance_platform(ours: Ownership, environment: object) -> ProviderEvent:
    body = changed(shapes.fixture("adyen_transfer"), {"environment": environment})
    (told,) = adyen.parse(body, shapes.adyen_payload_headers(body), ours=ours)
    return told


def is_refused(event: ProviderEvent, field: str) -> bool:
    """Nothing is left of it but its identity, and the reason quotes none of it."""
    assert event.refusal == "other_account"
    assert event.problem is not None
    assert event.problem.startswith(f"{event.type}: {field} is ")
    assert OTHER not in event.problem
    bare = replace(event, problem=None, refusal=None, occurred_at=None, event_key="", type="")
    return all(value in (None, "") for value in bare.as_args().values())


@pytest.mark.parametrize(
    ("live", "said", "ours"),
    [(True, True, True), (True, False, False), (False, False, True), (False, True, False), (True, "true", False),
     (True, 1, False), (False, 0, False), (True, [], False), (True, None, True), (True, GONE, True)],
)  # fmt: skip
@pytest.mark.parametrize("type_", ["charge.succeeded", "charge.refunded", "payout.paid", "customer.created"])
def test_stripes_mode_is_compared(live: bool, said: object, ours: bool, type_: str) -> None:
    event = told_by_stripe(Ownership(live), type_, livemode=said)
    assert event.refusal is None if ours else is_refused(event, "livemode")


@pytest.mark.parametrize(
    ("listed", "account", "ours"),
    [((), GONE, True), ((), None, True), ((), OTHER, False), ((ACCOUNT,), ACCOUNT, True), ((ACCOUNT,), OTHER, False),
     ((ACCOUNT, OTHER), OTHER, True), ((ACCOUNT,), GONE, True), ((ACCOUNT,), ACCOUNT.upper(), False),
     ((ACCOUNT,), f"{ACCOUNT} ", False), ((), "", False)],
)  # fmt: skip
@pytest.mark.parametrize(
    "type_", ["charge.succeeded", "charge.refunded", "charge.failed", "refund.created", "x.y"]
)
@pytest.mark.parametrize("field", ["account", "context"])
def test_stripes_account_is_compared(
    listed: tuple[str, ...], account: object, ours: bool, type_: str, field: str
) -> None:
    event = told_by_stripe(Ownership(accounts=frozenset(listed)), type_, **{field: account})
    assert event.refusal != "other_account" if ours else is_refused(event, field)


@pytest.mark.parametrize("account", [7, ["acct_ours"], {"id": "acct_ours"}, True])
def test_an_account_that_is_no_name_is_nobodys(account: object) -> None:
    event = told_by_stripe(Ownership(accounts=frozenset({ACCOUNT})), account=account)
    assert is_refused(event, "account")


@pytest.mark.parametrize("type_", ["payout.paid", "payout.updated", "transfer.created"])
def test_an_event_about_a_payout_keeps_the_account_that_it_comes_from(type_: str) -> None:
    event = told_by_stripe(LIVE, type_, account=OTHER)
    assert (event.move, event.account, event.refusal) == ("payout_paid", OTHER, None)
    assert "account" in event.as_args()


def test_of_our_own_account_none_is_kept_so_that_its_job_has_the_key_that_it_had() -> None:
    listed = told_by_stripe(Ownership(accounts=frozenset({OTHER})), "payout.paid", account=OTHER)
    plain = told_by_stripe(LIVE, "payout.paid")
    assert listed.as_args() == plain.as_args()
    assert {"account", "refusal"} & set(plain.as_args()) == set()


def test_what_is_known_of_no_payout_move_is_left_to_its_own_rule() -> None:
    event = told_by_stripe(LIVE, "payout.reconciliation_completed", account=OTHER)
    assert (event.move, event.refusal) == (None, None)


@pytest.mark.parametrize(
    ("live", "said", "ours"),
    [(True, "true", True), (True, True, True), (True, "false", False), (True, False, False), (False, "false", True),
     (False, False, True), (False, "true", False), (True, "TRUE", False), (True, 1, False), (True, GONE, True)],
)  # fmt: skip
def test_adyens_mode_is_compared(live: bool, said: object, ours: bool) -> None:
    event = told_by_adyen(Ownership(live), said)
    assert event.refusal is None if ours else is_refused(event, "live")


def test_two_answers_about_the_mode_are_none() -> None:
    body = shapes.adyen_body(shapes.adyen_signed(shapes.adyen_item())).replace(
        b'"live"', b'"live": "true", "live"', 1
    )
    (event,) = adyen.parse(body, {}, ours=LIVE)
    assert is_refused(event, "live")


@pytest.mark.parametrize(
    ("names", "code", "ours"),
    [(None, "OtherShop", True), (("AcmeECOM",), "AcmeECOM", True), (("AcmeECOM",), "OtherShop", False),
     (("AcmeECOM",), "acmeecom", False), (("AcmeECOM", "OtherShop"), "OtherShop", True), ((), "AcmeECOM", False)],
)  # fmt: skip
@pytest.mark.parametrize("code_of_event", ["AUTHORISATION", "REFUND", "CHARGEBACK", "REPORT_AVAILABLE"])
def test_adyens_merchant_account_is_compared(
    names: tuple[str, ...] | None, code: str, ours: bool, code_of_event: str
) -> None:
    listed = Ownership(merchant_accounts=None if names is None else frozenset(names))
    event = told_by_adyen(listed, code=code_of_event, merchantAccountCode=code)
    assert event.refusal != "other_account" if ours else is_refused(event, "merchantAccountCode")


@pytest.mark.parametrize(
    ("live", "said", "ours"),
    [
        (True, "live", True),
        (True, "test", False),
        (False, "test", True),
        (False, "live", False),
        (True, GONE, True),
    ],
)
def test_the_balance_platforms_environment_is_compared(live: bool, said: object, ours: bool) -> None:
    event = told_by_balance_platform(Ownership(live), said)
    assert event.refusal is None if ours else is_refused(event, "environment")


def test_a_type_that_the_settings_know_is_ignored_and_no_other() -> None:
    known = Ownership(ignored_events=frozenset({"charge.teleported", "MONEY_TELEPORTED"}))
    for ours, refusal in ((known, None), (LIVE, "unknown_event_type")):
        assert told_by_stripe(ours, "charge.teleported").refusal == refusal
        assert told_by_adyen(ours, code="MONEY_TELEPORTED").refusal == refusal
    assert told_by_stripe(known, "charge.vanished").refusal == "unknown_event_type"
    assert told_by_stripe(known, "charge.teleported", account=OTHER).refusal == "other_account"


def test_the_settings_ignore_no_event_that_is_known_to_move_money() -> None:
    event = told_by_stripe(Ownership(ignored_events=frozenset({"charge.succeeded"})), "charge.succeeded")
    assert event.move == "capture_total"


def test_what_is_another_accounts_is_one_event_also_where_it_tells_of_two_things() -> None:
    body = changed(
        json.loads(shapes.stripe_body("charge.failed", failure_balance_transaction="txn_1")),
        {"account": OTHER},
    )
    (event,) = stripe.parse(body, {}, ours=Ownership())
    assert (event.move, event.refusal) == (None, "other_account")


def test_without_settings_nothing_is_compared() -> None:
    body = changed(json.loads(shapes.stripe_body("charge.succeeded")), {"account": OTHER, "livemode": False})
    (event,) = stripe.parse(body, {})
    assert (event.move, event.refusal) == ("capture_total", None)
