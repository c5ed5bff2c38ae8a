"""`ledgerbeat explain` as an operator runs it: all that is known, by whatever name."""

import pytest

from models.reconciliation.findings import Finding, record_findings
from tests.integration.reconciliation.desk import Shop, reconcile
from tests.integration.repair.commands import Run


def test_all_that_is_known_of_a_deposit(shop: Shop, run: Run) -> None:
    reconcile(shop, run)
    [told] = run("explain", "order-1", "--json").json
    assert (told["tenant"], told["reference"]) == ("acme", "order-1")
    assert [job["name"] for job in told["jobs"]] == ["deposits.expect", "webhooks.event"]
    assert [row["captured_minor"] for row in told["deposits"]] == [5000]
    assert [row["status"] for row in told["records"]] == ["captured"]
    assert {row["kind"] for row in told["ledger"]} == {"deposit.captured", "fee.booked"}
    [webhook] = told["webhooks"]
    assert (webhook["body"], len(webhook["sha256"]), webhook["bytes"] > 100) == (None, 64, True)
    ran = run("explain", "order-1")
    assert ran.code == 0
    for section in ("deposits", "jobs", "webhooks", "ledger", "records"):
        assert f"\n{section}\n" in ran.out
    assert '"type"' not in ran.out
    assert '"reference":"order-1"' in run("explain", "order-1", "--bodies").out


def test_a_payout_is_known_by_each_of_its_names(shop: Shop, run: Run) -> None:
    reconcile(shop, run)
    [payout] = shop.rows("SELECT id, provider_reference FROM payouts")
    [attempt] = shop.rows("SELECT reference, object_id FROM payout_attempts")
    [record] = shop.rows("SELECT record_id FROM provider_records WHERE kind = 'payout'")
    for name in (payout["id"], attempt["reference"], attempt["object_id"]):
        [told] = run("explain", name, "--json").json
        assert [row["state"] for row in told["payouts"]] == ["paid"]
        assert [row["outcome"] for row in told["attempts"]] == ["paid"]
        assert {row["kind"] for row in told["ledger"]} == {"hold.placed", "hold.captured"}
        assert [row["record_id"] for row in told["records"]] == [record["record_id"]]
        assert {row["name"] for row in told["jobs"]} >= {"payouts.request", "webhooks.event"}
    assert f"ledgerbeat payouts show {payout['id']}" in run("explain", payout["id"]).out


def test_a_finding_and_what_was_said_of_it_are_told(shop: Shop, run: Run) -> None:
    shop.sandbox.deposit("order-stray", 999)
    reconcile(shop, run)
    [finding] = run("findings", "list", "--json").json["findings"]
    run("findings", "ignore", finding["id"], "--tenant", "acme", "--actor", "ops:dana", "--reason", "a test")
    [told] = run("explain", "order-stray", "--json").json
    assert [(one["kind"], one["state"]) for one in told["findings"]] == [("missing_in_ledger", "ignored")]
    assert [(one["actor"], one["reason"]) for one in told["audit"]] == [("ops:dana", "a test")]


def test_a_finding_is_explained_by_its_number(shop: Shop, run: Run) -> None:
    """As reports, the list and the audit trail write it; and it stands before the others about the same thing."""
    shop.sandbox.deposit("order-stray", 999)
    reconcile(shop, run)
    [finding] = run("findings", "list", "--json").json["findings"]
    [other] = record_another(shop, "deposit:sandbox:order-stray")
    for name in (f"finding:{finding['id']}", f"Finding {finding['id']}", f"{finding['id']}"):
        [told] = run("explain", name, "--json").json
        assert (told["tenant"], told["reference"]) == ("acme", "order-stray")
        assert [one["id"] for one in told["findings"]] == [finding["id"], other]
        assert [one["kind"] for one in told["records"]] == ["deposit"]
    [told] = run("explain", f"finding:{other}", "--tenant", "acme", "--json").json
    assert [one["id"] for one in told["findings"]] == [other, finding["id"]]
    assert "missing_in_ledger" in run("explain", f"finding:{finding['id']}").out


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["finding:999"], "there is no finding 999"),
        (["Finding 999"], "there is no finding 999"),
        (["999"], "there is no finding 999"),
        (["finding:1", "--tenant", "globex"], "globex has no finding 1"),
        (["finding:99999999999999999999"], "nothing is known of 'finding:99999999999999999999'"),
        (["finding:one"], "nothing is known of 'finding:one'"),
    ],
)
def test_the_number_of_no_finding_is_an_error(shop: Shop, run: Run, options: list[str], error: str) -> None:
    record_another(shop, "x")
    ran = run("explain", *options)
    assert (ran.code, error in ran.err) == (2, True), ran.err


def test_a_number_that_is_somebodys_reference_is_that(shop: Shop, run: Run) -> None:
    record_another(shop, "account:7")
    assert run("explain", "1", "--json").json[0]["reference"] == "account:7"
    shop.sells("1", 5)
    [told] = run("explain", "1", "--json").json
    assert (told["reference"], told["findings"]) == ("1", [])


@pytest.mark.parametrize(
    ("subject", "detail", "about"),
    [
        ("deposit:sandbox:a:b", {"reference": "a:b"}, "a:b"),
        ("deposit:sandbox:a:b", {}, "a:b"),
        ("deposit:stripe:pi_1", {"object_id": "pi_1"}, "pi_1"),
        ("deposit:stripe:record txn_1", {"reference": "record txn_1", "record_id": "txn_1"}, "txn_1"),
        ("fee:stripe:txn_1", {"reference": "txn_1", "record_id": "txn_1"}, "txn_1"),
        ("payout:0190fb6e-8d7e-7c6a-9a51-0b0f9a2d3e4f", {"reference": "r-1"}, "0190fb6e-8d7e-7c6a-9a51-0b0f9a2d3e4f"),
        ("payout:sandbox:r-1", {"reference": "r-1", "record_id": "x"}, "r-1"),
        ("account 7", {}, "account 7"),
    ],
)  # fmt: skip
def test_what_a_finding_is_about(
    shop: Shop, run: Run, subject: str, detail: dict[str, str], about: str
) -> None:
    [number] = record_another(shop, subject, detail)
    [told] = run("explain", f"finding:{number}", "--json").json
    assert (told["reference"], [one["id"] for one in told["findings"]]) == (about, [number])


def record_another(shop: Shop, subject: str, detail: dict[str, str] | None = None) -> list[int]:
    """A finding about this, of a kind that no run looks for; its number."""
    finding = Finding("acme", "sandbox", "late_reversal", subject, detail=detail or {})
    with shop.transaction() as session:
        record_findings(session, [finding], now=shop.now)
    rows = shop.rows("SELECT id FROM reconciliation_findings WHERE kind = 'late_reversal'")
    return [row["id"] for row in rows]


def test_what_nobody_knows_is_an_error_and_a_tenant_sees_its_own_only(shop: Shop, run: Run) -> None:
    ran = run("explain", "order-77\x1b[31m")
    assert (ran.code, "nothing is known of" in ran.err, "\x1b" in ran.err) == (2, True, False)
    assert run("explain", "order-1", "--tenant", "globex").code == 2
    assert run("explain", "order-1", "--tenant", "acme").code == 0
