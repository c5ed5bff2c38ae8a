"""JSON and CSV: complete, exact, and harmless in a spreadsheet."""

import csv
import io
import json
from dataclasses import replace

import pytest

from models.reconciliation.tables import FINDING_KINDS
from tasks.reconciliation.report import FindingFacts, FindingGroup
from tasks.reconciliation.report.exports import COLUMNS, SCHEMA, csv_lines, render_json, safe
from tests.unit.reconciliation.report import nights


def rows(*findings: FindingFacts) -> list[dict[str, str]]:
    text = "".join(csv_lines(findings))
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_json_has_the_documented_keys() -> None:
    told = json.loads(render_json(nights.bad()))
    assert told["schema"] == SCHEMA
    assert set(told) == {
        "schema", "tenant", "provider", "business_date", "zone", "window_from", "window_to", "state", "problem",
        "revision", "started_at", "finished_at", "verdict", "counts", "totals", "in_question", "kinds", "findings",
        "more", "bad_rows", "invariants", "fees", "settlements", "ignored", "history",
    }  # fmt: skip
    assert set(told["totals"][0]) == {
        "currency", "total", "matched", "elsewhere", "expected", "unjudged", "findings", "repeated", "ignored",
        "waterfall",
    }  # fmt: skip
    assert set(told["totals"][0]["total"]) == {
        "provider_minor",
        "ledger_minor",
        "provider_rows",
        "ledger_rows",
    }
    assert set(told["verdict"]) == {"tone", "title", "explanation"}


def test_json_is_whole_exact_and_the_same_each_time() -> None:
    facts = nights.bad()
    told = json.loads(render_json(facts))
    assert render_json(facts) == render_json(nights.bad())
    assert {one["kind"] for one in told["findings"]} == set(FINDING_KINDS)
    assert len(told["findings"]) == len(facts.findings)
    assert told["bad_rows"][2]["raw"] == "A" * 4_000
    assert told["window_from"] == "2026-11-16T21:00:00+00:00"
    steps = told["totals"][0]["waterfall"]
    assert steps[0]["level_minor"] == facts.totals[0].total.provider_minor
    assert (
        sum(step["amount_minor"] for step in steps[:-1])
        == steps[-1]["amount_minor"]
        == facts.totals[0].total.ledger_minor
    )


def test_json_survives_hostile_texts() -> None:
    text = render_json(nights.hostile())
    assert text.isascii()
    told = json.loads(text)
    assert {one["subject"] for one in told["findings"]} == set(nights.HOSTILE)


def test_csv_is_rfc_4180() -> None:
    text = "".join(csv_lines(nights.bad().findings))
    assert text.count("\r\n") == len(nights.bad().findings) + 1
    assert "\n" not in text.replace("\r\n", "")
    found = rows(*nights.bad().findings)
    assert tuple(found[0]) == COLUMNS
    assert len(found) == len(nights.bad().findings)


def test_csv_survives_hostile_texts() -> None:
    found = rows(*nights.hostile().findings)
    assert len(found) == len(nights.HOSTILE)
    "".join(csv_lines(nights.hostile().findings)).encode()


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        " =1",
        "\uff1d1",
        "=HYPERLINK(1)",
        "\u200b=1",
        "\x00=1",
    ],
)
def test_a_formula_is_never_a_formula(text: str) -> None:
    (row,) = rows(nights.finding(1, "fee_mismatch", subject=text, reason=text, ours={"=a": text}))
    for cell in (row["subject"], row["reason"]):
        assert cell[0] in "'["
        assert not cell.startswith(("=", "+", "-", "@"))
    assert row["ledger_record"].startswith("{")


def test_a_plain_text_stays_as_it_is() -> None:
    assert safe("pay-1=2") == "pay-1=2"


def test_amounts_stay_numbers_even_below_zero() -> None:
    (row,) = rows(nights.finding(1, "fee_mismatch", amount_minor=-123_456, currency="EUR"))
    assert (row["amount_minor"], row["amount"]) == ("-123456", "-1234.56")
    (row,) = rows(nights.finding(1, "fee_mismatch", amount_minor=-(2**63), currency="BHD"))
    assert row["amount"] == "-9223372036854775.808"
    (row,) = rows(nights.finding(1, "fee_mismatch", amount_minor=5, currency="JPY"))
    assert row["amount"] == "5"
    (row,) = rows(nights.finding(1, "unknown_event"))
    assert (row["amount_minor"], row["amount"], row["currency"]) == ("", "", "")


def test_csv_lines_come_one_by_one() -> None:
    endless = (nights.finding(number, "fee_mismatch") for number in iter(int, 1))
    lines = csv_lines(endless)
    assert next(lines).startswith('"id","kind"')
    assert next(lines).startswith('0,"fee_mismatch"')


def test_findings_that_are_only_counted_are_told() -> None:
    group = FindingGroup("fee_mismatch", "low", 3, nights.NOW)
    told = json.loads(render_json(replace(nights.clean(), more=(group,))))
    assert told["more"][0]["findings"] == 3
    assert told["kinds"][0]["findings"] == 3
