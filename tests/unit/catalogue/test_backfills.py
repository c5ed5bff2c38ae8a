"""What the backfill jobs accept: a source by its name, and only what their kind knows."""

from typing import Any

import pytest

from models.backfills.tables import BATCH_ROWS_MAX, KINDS
from models.money import BIGINT_MAX
from tests.unit.catalogue.test_catalogue import errors_of, pointers_of
from worker.catalogue import BackfillStart, parse
from worker.catalogue.backfills import OPTIONS_OF
from worker.catalogue.describe import json_schema

SIGNED = {"actor": "ops:dana", "reason": "ticket 311"}
STARTS: dict[str, dict[str, Any]] = {
    "postings": {"kind": "postings", "source": "history", **SIGNED},
    "opening_balances": {"kind": "opening_balances", "source": "balances", **SIGNED},
    "provider_events": {
        "kind": "provider_events",
        "source": "missed",
        "options": {"since": "2026-03-01T00:00:00Z", "until": "2026-03-02T00:00:00+03:00"},
        **SIGNED,
    },
    "wallet_recalc": {"kind": "wallet_recalc", **SIGNED},
}
COMMAND = {"backfill_id": "0199f3c2-7d10-7cc3-9d4f-0a1b2c3d4e5f", **SIGNED}
WHEN = {"since": "2026-03-01T00:00:00Z", "until": "2026-03-02T00:00:00Z"}
OPTIONS = {"force": True, "existing": "difference", "owner": "player-17", **WHEN}


def test_every_kind_has_its_options() -> None:
    assert tuple(OPTIONS_OF) == KINDS == tuple(STARTS)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_begins_with_little(kind: str) -> None:
    parsed = parse("backfills.start", STARTS[kind])
    assert isinstance(parsed, BackfillStart)
    assert (parsed.kind, parsed.dry_run, parsed.batch_rows, parsed.max_amount_minor) == (
        kind, False, None, None,
    )  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_option_is_taken_by_its_kinds_and_refused_by_the_others(kind: str, option: str) -> None:
    told = STARTS[kind].get("options", {}) | {option: OPTIONS[option]}
    args = {**STARTS[kind], "options": told}
    if option in OPTIONS_OF[kind]:
        parse("backfills.start", args)
    else:
        [error] = errors_of("backfills.start", args)
        assert error == {"pointer": "", "message": f"{kind} has no option {option}."}


@pytest.mark.parametrize(
    "source",
    [
        "/srv/legacy/history.csv",
        "../history",
        "history.csv",
        "postgresql://x",
        "file:a",
        "",
        "A",
        "a" * 32,
        None,
        5,
        {"path": "/etc/passwd"},
    ],
)
def test_a_source_is_a_name_and_never_a_path(source: object) -> None:
    pointers = pointers_of("backfills.start", {**STARTS["postings"], "source": source})
    assert pointers in (["/source"], [""])


@pytest.mark.parametrize("field", ["path", "file", "url", "query", "mapping", "namespace", "tenant"])
def test_there_is_no_other_way_to_name_one(field: str) -> None:
    assert pointers_of("backfills.start", {**STARTS["postings"], field: "x"}) == [f"/{field}"]
    told = {**STARTS["postings"], "options": {field: "x"}}
    assert pointers_of("backfills.start", told) == [f"/options/{field}"]


@pytest.mark.parametrize(
    ("kind", "changes", "pointer"),
    [
        ("wallet_recalc", {"source": "history"}, ""),
        ("postings", {"source": None}, ""),
        ("postings", {"kind": "everything"}, "/kind"),
        ("postings", {"dry_run": 1}, "/dry_run"),
        ("postings", {"dry_run": None}, "/dry_run"),
        ("postings", {"batch_rows": 0}, "/batch_rows"),
        ("postings", {"batch_rows": BATCH_ROWS_MAX + 1}, "/batch_rows"),
        ("postings", {"batch_rows": None}, ""),
        ("postings", {"max_amount_minor": -1}, "/max_amount_minor"),
        ("postings", {"max_amount_minor": 1.0}, "/max_amount_minor"),
        ("postings", {"max_amount_minor": BIGINT_MAX + 1}, "/max_amount_minor"),
        ("postings", {"max_amount_minor": None}, ""),
        ("postings", {"options": None}, "/options"),
        ("postings", {"options": {"force": None}}, "/options"),
        ("postings", {"options": {"force": "yes"}}, "/options/force"),
        ("opening_balances", {"options": {"existing": "overwrite"}}, "/options/existing"),
        ("provider_events", {"max_amount_minor": 5}, ""),
        ("provider_events", {"options": {}}, ""),
        ("provider_events", {"options": {"since": WHEN["since"]}}, ""),
        ("provider_events", {"options": {**WHEN, "until": WHEN["since"]}}, "/options"),
        (
            "provider_events",
            {"options": {"since": "2026-03-01T00:00:00Z", "until": "2026-03-01T02:00:00+02:00"}},
            "/options",
        ),
        ("provider_events", {"options": {**WHEN, "since": "2026-02-31T00:00:00Z"}}, "/options/since"),
        ("provider_events", {"options": {**WHEN, "since": "2026-03-01T00:00:00"}}, "/options/since"),
        ("provider_events", {"options": {**WHEN, "since": "2026-02-29"}}, "/options/since"),
        ("provider_events", {"options": {**WHEN, "since": "2026-W09-1"}}, "/options/since"),
        ("provider_events", {"options": {**WHEN, "until": "20260302"}}, "/options/until"),
        ("provider_events", {"options": {"since": "2026-03-02", "until": "2026-03-02"}}, "/options"),
        ("provider_events", {"options": {**WHEN, "since": "0001-01-01T00:00:00+23:59"}}, "/options/since"),
        ("wallet_recalc", {"options": {"owner": "with space"}}, "/options/owner"),
        ("wallet_recalc", {"actor": ""}, "/actor"),
        ("wallet_recalc", {"reason": " "}, "/reason"),
    ],
)
def test_what_does_not_fit_is_refused(kind: str, changes: dict[str, Any], pointer: str) -> None:
    assert pointers_of("backfills.start", {**STARTS[kind], **changes}) == [pointer]


@pytest.mark.parametrize("since", ["2026-03-01", "2026-03-01T00:00:00Z", "2026-03-01T23:59:59.5-05:00"])
@pytest.mark.parametrize("until", ["2026-03-02", "2026-03-02T12:00:00+03:00"])
def test_a_day_is_as_good_as_a_moment(since: str, until: str) -> None:
    parsed = parse(
        "backfills.start", STARTS["provider_events"] | {"options": {"since": since, "until": until}}
    )
    assert isinstance(parsed, BackfillStart)
    assert (parsed.options.since, parsed.options.until) == (since, until)


def test_every_example_is_accepted_and_one_shows_days() -> None:
    shown = json_schema("backfills.start")["examples"]
    parsed = [parse("backfills.start", one) for one in shown]
    assert [one.kind for one in parsed if isinstance(one, BackfillStart)] == ["postings", "provider_events"]
    assert shown[1]["options"] == {"since": "2026-03-01", "until": "2026-03-08"}


@pytest.mark.parametrize("name", ["backfills.pause", "backfills.resume", "backfills.cancel"])
@pytest.mark.parametrize("lacking", ["backfill_id", "actor", "reason"])
def test_a_command_says_which_who_and_why(name: str, lacking: str) -> None:
    parse(name, COMMAND)
    assert pointers_of(name, {key: value for key, value in COMMAND.items() if key != lacking}) == [
        f"/{lacking}"
    ]


@pytest.mark.parametrize("name", ["backfills.pause", "backfills.resume", "backfills.cancel"])
@pytest.mark.parametrize("wrong", ["1", "", 7, None, "0199f3c2-7d10-7cc3-9d4f-0a1b2c3d4e5f\n"])
def test_a_backfill_is_named_by_its_id(name: str, wrong: object) -> None:
    assert pointers_of(name, {**COMMAND, "backfill_id": wrong}) == ["/backfill_id"]


def test_only_a_resume_takes_a_cap() -> None:
    parse("backfills.resume", {**COMMAND, "max_amount_minor": 0})
    assert pointers_of("backfills.resume", {**COMMAND, "max_amount_minor": None}) == [""]
    for name in ("backfills.pause", "backfills.cancel"):
        assert pointers_of(name, {**COMMAND, "max_amount_minor": 5}) == ["/max_amount_minor"]
