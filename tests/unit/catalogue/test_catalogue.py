"""What each job accepts, and what it says about what it does not."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import InvalidArguments, UnknownJob
from models.money import BIGINT_MAX
from models.tenants import POLICY_FIELDS
from worker.catalogue import JOBS, PolicySet, WalletAward, parse
from worker.catalogue.describe import example, json_schema
from worker.catalogue.parsing import ERRORS_MAX, pointer

CREDIT: dict[str, Any] = {"owner": "player-17", "amount_minor": 5, "currency": "EUR", "reason": "bonus"}
POLICY: dict[str, Any] = {"actor": "ops:dana", "reason": "because"}
AWARD: dict[str, Any] = {"owner": "a", "placement": 1, "amount_minor": 5}


def errors_of(name: str, args: object) -> list[dict[str, str]]:
    with pytest.raises(InvalidArguments) as caught:
        parse(name, args)
    return caught.value.errors


def pointers_of(name: str, args: object) -> list[str]:
    return [error["pointer"] for error in errors_of(name, args)]


def award(*awards: dict[str, Any]) -> dict[str, Any]:
    return {"event": "cup", "awards": list(awards), "currency": "EUR", "reason": "prize"}


@pytest.mark.parametrize("name", JOBS)
def test_the_example_of_each_job_is_accepted(name: str) -> None:
    assert isinstance(parse(name, example(name)), JOBS[name])


@pytest.mark.parametrize("name", JOBS)
def test_each_schema_refuses_unknown_fields_and_needs_an_object(name: str) -> None:
    assert pointers_of(name, {**example(name), "x/y~z": 1}) == ["/x~1y~0z"]
    others: list[object] = [[], "text", 1, None, True]
    for other in others:
        assert errors_of(name, other) == [{"pointer": "", "message": "A JSON object is expected."}]


@pytest.mark.parametrize("name", JOBS)
def test_each_schema_is_json_and_has_no_default(name: str) -> None:
    text = json.dumps(json_schema(name))
    assert '"default"' not in text
    assert '"additionalProperties": false' in text


def test_an_unknown_job_is_said_to_be_unknown() -> None:
    for name in ("wallets.steal", "", "webhooks.event", "WALLETS.CREDIT"):
        with pytest.raises(UnknownJob):
            parse(name, {})


@pytest.mark.parametrize("amount", [0, -1, 1.0, 1.5, True, False, "1", None, BIGINT_MAX + 1, 10**400, [], {}])
@pytest.mark.parametrize(
    "name", ["wallets.credit", "wallets.debit", "wallets.transfer", "deposits.expect", "payouts.request"]
)
def test_an_amount_is_a_positive_json_integer_within_bigint(name: str, amount: object) -> None:
    assert pointers_of(name, {**example(name), "amount_minor": amount}) == ["/amount_minor"]


def test_the_largest_amount_is_accepted() -> None:
    parse("wallets.credit", {**CREDIT, "amount_minor": BIGINT_MAX})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("owner", ""),
        ("owner", "a" * 129),
        ("owner", "with space"),
        ("owner", "new\nline"),
        ("owner", "line\n"),
        ("owner", "nul\x00"),
        ("owner", "é"),
        ("owner", 7),
        ("currency", "eur"),
        ("currency", "EURO"),
        ("currency", "XXX"),
        ("currency", "EUR\n"),
        ("currency", 978),
        ("reason", ""),
        ("reason", "-bonus"),
        ("reason", "a b"),
        ("reason", "-a"),
        ("reason", "a" * 64),
    ],
)
def test_texts_are_bounded_and_plain(field: str, value: object) -> None:
    assert pointers_of("wallets.credit", {**CREDIT, field: value}) == [f"/{field}"]


def test_no_error_echoes_a_value() -> None:
    secret = "S3CRET-value with space"
    for field in CREDIT:
        assert secret not in json.dumps(errors_of("wallets.credit", {**CREDIT, field: secret}))


def test_all_errors_are_listed_up_to_a_bound() -> None:
    assert pointers_of("wallets.credit", {}) == ["/owner", "/amount_minor", "/currency", "/reason"]
    assert len(errors_of("wallets.award", award(*[{**AWARD, "owner": ""}] * 100))) == ERRORS_MAX


def test_a_very_long_field_name_is_not_repeated() -> None:
    assert pointers_of("wallets.credit", {**CREDIT, "x" * 5000: 1}) == [""]


def test_a_transfer_to_oneself_is_refused() -> None:
    args = {**example("wallets.transfer"), "to_owner": "same", "from_owner": "same"}
    assert pointers_of("wallets.transfer", args) == [""]


@pytest.mark.parametrize(
    ("awards", "expected"),
    [
        ([], ["/awards"]),
        ([AWARD, AWARD], [""]),
        ([AWARD, {**AWARD, "amount_minor": 6}], [""]),
        ([{**AWARD, "placement": 0}], ["/awards/0/placement"]),
        ([AWARD, {**AWARD, "placement": True}], ["/awards/1/placement"]),
        ([AWARD, {**AWARD, "placement": 2, "x": 1}], ["/awards/1/x"]),
        ([AWARD, "text"], ["/awards/1"]),
        ([AWARD] * 10_001, ["/awards"]),
    ],
)
def test_awards_are_checked_one_by_one(awards: list[dict[str, Any]], expected: list[str]) -> None:
    assert pointers_of("wallets.award", award(*awards)) == expected


@pytest.mark.parametrize("awards", ["text", {"0": AWARD}, None, 1])
def test_awards_are_an_array(awards: object) -> None:
    assert pointers_of("wallets.award", {**award(), "awards": awards}) == ["/awards"]


def test_ten_thousand_awards_are_accepted_and_a_tie_is_no_duplicate() -> None:
    parsed = parse("wallets.award", award(*({**AWARD, "owner": f"p{n}"} for n in range(10_000))))
    assert isinstance(parsed, WalletAward)
    assert len(parsed.awards) == 10_000


@pytest.mark.parametrize(
    ("changes", "accepted"),
    [
        ({"kyc_status": "verified"}, True),
        ({"allow_overdraft": False}, True),
        ({"allow_overdraft": True, "currency": "JPY"}, True),
        ({}, False),
        ({"currency": "EUR"}, False),
        ({"kyc_status": None, "allow_overdraft": True}, False),
        ({"kyc_status": "perhaps"}, False),
        ({"allow_overdraft": 1}, False),
        ({"allow_overdraft": "true"}, False),
    ],
)
def test_a_wallet_is_configured_by_at_least_one_change(changes: dict[str, Any], accepted: bool) -> None:
    args = {"owner": "a", **changes}
    if accepted:
        parse("wallets.configure", args)
    else:
        assert errors_of("wallets.configure", args)


@pytest.mark.parametrize(
    "changes",
    [
        {"ledger_mode": "shadow"},
        {"kyc_required": True},
        {"daily_deposit_limit_minor": 0, "daily_payout_limit_minor": BIGINT_MAX},
        {
            "daily_deposit_limit_minor": None,
            "approval_threshold_minor": None,
            "approval_expires_seconds": None,
        },
        {"payout_retry_limit": 0, "payout_cooldown_seconds": 0},
        {"payout_backoff_factor": 2},
        {"payout_backoff_factor": 1.5},
        {"in_doubt_ladder_seconds": [30]},
        {"reconcile_at_local": "23:59", "reconcile_grace_seconds": 3600},
    ],
)
def test_any_part_of_a_policy_may_be_set(changes: dict[str, Any]) -> None:
    parsed = parse("policies.set", {**POLICY, **changes})
    assert isinstance(parsed, PolicySet)
    assert parsed.changes() == changes


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ledger_mode", "off"),
        ("ledger_mode", None),
        ("kyc_required", 1),
        ("kyc_required", None),
        ("daily_deposit_limit_minor", -1),
        ("daily_deposit_limit_minor", BIGINT_MAX + 1),
        ("daily_payout_limit_minor", 1.0),
        ("payout_retry_limit", 101),
        ("payout_retry_limit", None),
        ("payout_cooldown_seconds", 30 * 86_400 + 1),
        ("payout_backoff_factor", 0.5),
        ("payout_backoff_factor", 11),
        ("payout_backoff_factor", True),
        ("payout_backoff_factor", float("nan")),
        ("payout_backoff_factor", "2"),
        ("approval_threshold_minor", True),
        ("approval_expires_seconds", 0),
        ("in_doubt_ladder_seconds", []),
        ("in_doubt_ladder_seconds", [60, 30]),
        ("in_doubt_ladder_seconds", [30, 30]),
        ("in_doubt_ladder_seconds", list(range(1, 22))),
        ("in_doubt_ladder_seconds", None),
        ("reconcile_at_local", "24:00"),
        ("reconcile_at_local", "2:30"),
        ("reconcile_at_local", "02:30\n"),
        ("reconcile_grace_seconds", -1),
    ],
)
def test_a_policy_out_of_range_is_refused(field: str, value: object) -> None:
    assert pointers_of("policies.set", {**POLICY, field: value}) == [f"/{field}"]


def test_a_policy_that_changes_nothing_is_refused() -> None:
    assert pointers_of("policies.set", POLICY) == [""]


@pytest.mark.parametrize(
    "reason", ["", " ", " led", "a\x00b", "a\nb", "tail\n", "\u202eabc", "a" * 501, 5, None]
)
def test_a_reason_is_printable_text(reason: object) -> None:
    assert pointers_of("policies.set", {**POLICY, "kyc_required": True, "reason": reason}) == ["/reason"]


def test_a_reason_may_be_in_any_language() -> None:
    parse("policies.set", {**POLICY, "kyc_required": True, "reason": "Müşteri talebi / 合意 ✅"})


def test_every_field_of_the_policy_can_be_set() -> None:
    assert set(PolicySet.model_fields) == {*POLICY_FIELDS, "actor", "reason"}


def test_pointers_follow_rfc_6901() -> None:
    assert pointer(()) == ""
    assert pointer(("a/b", 0, "m~n", "")) == "/a~1b/0/m~0n/"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(args=st.dictionaries(st.sampled_from([*CREDIT, "event", "awards", "{x}", "actor"]), anything))
def test_whatever_comes_is_parsed_or_refused(args: dict[str, Any]) -> None:
    for name in JOBS:
        try:
            parse(name, args)
        except InvalidArguments:
            continue


@pytest.mark.parametrize(
    ("field", "value"), [("allow_overdraft", 1), ("kyc_status", "perhaps"), ("currency", "eur")]
)
def test_what_may_be_left_out_is_pointed_at_like_all_else(field: str, value: object) -> None:
    args = {"owner": "a", "kyc_status": "verified", field: value}
    assert pointers_of("wallets.configure", args) == [f"/{field}"]
    assert '"null"' not in json.dumps(json_schema("wallets.configure"))
