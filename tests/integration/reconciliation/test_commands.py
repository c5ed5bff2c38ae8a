"""`ledgerbeat reconcile` and `findings` as an operator runs them, against a real sandbox."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ops.embedded.ports import free_port
from tests.integration.reconciliation.desk import Shop, reconcile, write_config
from tests.integration.repair.commands import Run


def test_a_clean_night_ends_with_0_and_a_report(shop: Shop, run: Run, tmp_path: Path) -> None:
    code, out, err = reconcile(shop, run)
    assert (code, "clean: provider and ledger agree" in out) == (0, True), out + err
    [page] = (tmp_path / "reports").glob("*.html")
    assert f"report: {page}" in out
    assert "5 records; matching ..." in err or "3 records; matching ..." in err
    told = json.loads(page.with_suffix(".json").read_text())
    assert (told["state"], told["verdict"]["tone"], told["counts"]["bad_rows"]) == ("done", "good", 0)
    [euros] = told["totals"]
    assert euros["total"]["provider_minor"] == euros["total"]["ledger_minor"]
    assert [fee["amount_minor"] for fee in told["fees"]] == [50 + 7]


def test_again_it_is_the_same_run_and_as_clean(shop: Shop, run: Run) -> None:
    reconcile(shop, run)
    code, out, _ = reconcile(shop, run, "--json")
    told = json.loads(out)
    assert (code, told["revision"], told["clean"], told["findings"], told["fees_booked"]) == (
        0,
        2,
        True,
        {},
        0,
    )


def test_what_the_provider_knows_and_we_do_not_ends_with_1(shop: Shop, run: Run) -> None:
    shop.sandbox.deposit("order-stray", 999)
    code, out, _ = reconcile(shop, run)
    assert code == 1
    assert "missing_in_ledger" in out
    assert "not clean: see the report" in out
    shown = run("findings", "list", "--tenant", "acme", "--json").json["findings"]
    assert [(one["kind"], one["subject"]) for one in shown] == [
        ("missing_in_ledger", "deposit:sandbox:order-stray")
    ]


def test_a_sandbox_that_is_down_ends_with_2_and_concludes_nothing(
    shop: Shop, run: Run, tmp_path: Path
) -> None:
    write_config(tmp_path, f"http://127.0.0.1:{free_port()}")
    code, out, err = reconcile(shop, run)
    assert (code, "FAILED: the records of provider sandbox could not be read" in err) == (2, True), out + err
    [row] = shop.rows("SELECT * FROM reconciliation_runs")
    assert (row["state"], row["findings_open"]) == ("failed", 0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--tenant", "acme", "--provider", "stripe", "--date", "2026-03-13"], "the settings have no tenants.acme"),
        (["--tenant", "nobody", "--provider", "sandbox", "--date", "2026-03-13"], "the settings have no tenants."),
        (["--tenant", "acme", "--provider", "sandbox", "--date", "2999-01-01"], "has not begun"),
        (["--tenant", "acme", "--provider", "sandbox", "--date", "yesterday"], "does not match the format"),
        (["--tenant", "acme", "--provider", "sandbox"], "Missing option '--date'"),
        (["--tenant", "acme", "--provider", "sandbox", "--date", "2026-03-13", "--format", "csv"], "--file"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_a_sentence(shop: Shop, run: Run, options: list[str], words: str) -> None:
    ran = run("reconcile", *options)
    assert (ran.code, words in ran.err) == (2, True), ran.err
    assert shop.rows("SELECT * FROM reconciliation_runs") == []


def test_a_file_needs_its_columns_and_one_that_is_broken_is_an_error(
    shop: Shop, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "report.csv").write_text("not,a,report\n")
    for format_, words in (("csv", "needs columns"), ("adyen_settlement", "the header lacks")):
        code, _, err = reconcile(shop, run, "--file", tmp_path / "report.csv", "--format", format_)
        assert (code, words in err) == (2, True), err


def test_a_finding_is_closed_with_a_name_and_a_reason_only(shop: Shop, run: Run) -> None:
    shop.sandbox.deposit("order-stray", 999)
    shop.sandbox.deposit("order-known", 5)
    reconcile(shop, run)
    ids = [one["id"] for one in run("findings", "list", "--json").json["findings"]]
    assert run("findings", "resolve", ids[0], "--tenant", "acme", "--actor", "ops:dana").code == 2
    assert run("findings", "resolve", ids[0], "--tenant", "acme", "--reason", "x").code == 2
    signed = ("--tenant", "acme", "--actor", "ops:dana", "--reason", "booked by hand")
    assert run("findings", "resolve", ids[0], *signed, "--reason", " ").code == 2
    assert run("findings", "resolve", ids[0], *signed).out == f"resolved: {ids[0]}\n"
    assert run("findings", "ignore", ids[1], ids[0], *signed, "--json").json == {
        "state": "ignored", "closed": [ids[1]], "were_closed_already": [ids[0]],
    }  # fmt: skip
    assert run("findings", "ignore", 999_999, *signed).code == 2
    assert run("findings", "list").out == "no findings fit\n"
    assert reconcile(shop, run)[0] == 1
    [open_again] = run("findings", "list", "--json").json["findings"]
    assert open_again["id"] == ids[0]
    audit = shop.rows(
        "SELECT actor, action, reason FROM audit_events WHERE action LIKE 'findings.%' ORDER BY id"
    )
    assert [(row["actor"], row["action"]) for row in audit] == [
        ("ops:dana", "findings.resolved"), ("ops:dana", "findings.ignored"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--provider", "sandbox"], 1), (["--provider", "stripe"], 0), (["--kind", "missing_in_ledger"], 1),
        (["--kind", "fee_mismatch"], 0), (["--state", "all"], 1), (["--state", "closed"], 0),
        (["--severity", "low"], 0), (["--subject", "deposit:sandbox:order-stray"], 1), (["--subject", "x"], 0),
        (["--older-than", "1h"], 0), (["--tenant", "globex"], 0), (["--run", "1"], 1), (["--before", "1"], 0),
    ],
)  # fmt: skip
def test_findings_are_listed_by_filter(shop: Shop, run: Run, options: list[str], found: int) -> None:
    shop.sandbox.deposit("order-stray", 999)
    reconcile(shop, run)
    assert len(run("findings", "list", *options, "--json").json["findings"]) == found


def test_a_later_run_closes_what_was_put_right(shop: Shop, run: Run) -> None:
    shop.do(
        "deposits.expect",
        {"provider": "sandbox", "reference": "late", "owner": "ada", "amount_minor": 100, "currency": "EUR"},
    )
    shop.sandbox.deposit("late", 100)
    assert reconcile(shop, run)[0] == 1
    assert shop.hears().missed == 1
    code, out, _ = reconcile(shop, run)
    assert (code, "1 closed" in out) == (0, True), out


def test_the_run_through_the_door_is_due_and_told_what_it_cannot(shop: Shop) -> None:
    day = (datetime.now(UTC) - timedelta(days=2)).date().isoformat()
    later = (datetime.now(UTC) + timedelta(days=3)).date().isoformat()
    asked = [{"provider": "sandbox", "business_date": day}, {"provider": "sandbox", "business_date": later},
             {"provider": "nobody", "business_date": day}]  # fmt: skip
    for key in ("first", "again"):
        for number, args in enumerate(asked):
            shop.hand_in("reconciliation.run", args, key=f"{key}-{number}")
    shop.drain()
    jobs = shop.rows("SELECT state, result FROM jobs WHERE name = 'reconciliation.run' ORDER BY seq")
    assert [(job["state"], (job["result"] or {}).get("code")) for job in jobs] == [
        ("done", None), ("refused", "date_not_begun"), ("refused", "provider_not_configured"),
    ] * 2  # fmt: skip
    [row] = shop.rows("SELECT * FROM reconciliation_runs")
    assert (row["state"], row["business_date"].isoformat()) == ("pending", day)
