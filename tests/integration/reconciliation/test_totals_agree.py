"""Adyen's report as it really comes, through the command: what it prints is what the page says."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from models.money import format_minor
from tests.integration.reconciliation.books import Books
from tests.integration.reconciliation.desk import WEBHOOK_SECRET
from tests.integration.reconciliation.test_real_account import merchant, paid, write_report
from tests.integration.repair.commands import Ran, Run, runner

CONFIG = """
[tenants.acme]
timezone = "Europe/Amsterdam"
[tenants.acme.providers.adyen]
adapter = "adyen"
webhook_secrets = ["file:adyen"]
bank_account = "main"
[tenants.acme.providers.adyen.records]
path = "/nowhere/*.csv"
format = "adyen_settlement"
timezone = "Europe/Amsterdam"
[tenants.acme.providers.shop]
adapter = "sandbox"
webhook_secrets = ["file:webhook"]
[tenants.acme.providers.shop.records]
path = "/nowhere/*.csv"
format = "csv"
[tenants.acme.providers.shop.records.columns]
record_id = "TransferWise ID"
occurred_at = "Date Time"
time_format = "%d-%m-%Y %H:%M:%S.%f"
amount = "Amount"
unit = "major"
currency = "Currency"
reference = "Payment Reference"
kind = "Transaction Type"
kinds = {DEBIT = "refund", CREDIT = "deposit", CARD = "ignore"}
"""
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)

SETTLED = paid(
    41, "Settled", "order-1", "2026-11-20 10:11:12", "", "50.00", "0 0.40 0.10 0.20", ("", "49.30")
)
REST = merchant(
    41, "Balancetransfer", "Balancetransfer", "2026-11-20 20:24:23", "", "120.00", "from batch 40"
)
FEES = merchant(41, "Fee", "Transaction Fees November     20 2026", "2026-11-20 20:46:38", "3.81")
PAYOUT = merchant(41, "MerchantPayout", "TX635000001XT batch 41, SHOPCO_EU", "2026-11-20 20:46:38", "165.49")
TRANSFERS = """
"TransferWise ID","Date Time",Amount,Currency,"Payment Reference","Transaction Type"
TRANSFER-900000001,"20-11-2026 13:43:54.496",-357.38,USD,"order-w1",DEBIT
TRANSFER-900000001,"20-11-2026 08:12:37.495",-11.35,USD,"",DEBIT
TRANSFER-900000002,"20-11-2026 19:27:05.726",125.00,USD,"order-w2",CREDIT
TRANSFER-900000002,"20-11-2026 19:27:05.726",125.00,USD,"order-w2",CREDIT
TRANSFER-900000003,"20-11-2026 19:28:05.726",-7.00,USD,"",CARD
""".lstrip()


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, database_url: str
) -> Run:
    (tmp_path / "adyen").write_text("44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056")
    (tmp_path / "webhook").write_text(WEBHOOK_SECRET)
    (tmp_path / "ledgerbeat.toml").write_text(CONFIG)
    config = str(tmp_path / "ledgerbeat.toml")
    return runner(monkeypatch, capsys, tmp_path, database_url=database_url, config=config)


@pytest.fixture
def books(books: Books) -> Books:
    """An order of 50.00 was paid."""
    books = replace(books, provider="adyen", now=NOON)
    books.moved("order-1", 5000, at=NOON)
    return books


def reconcile(run: Run, file: Path, provider: str = "adyen", *more: str) -> Ran:
    return run(
        "reconcile", "--tenant", "acme", "--provider", provider, "--date", "2026-11-20", "--file", file, *more
    )


def reported(folder: Path, provider: str = "adyen") -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / f"reports/acme-{provider}-2026-11-20.json").read_text())
    return told


def assert_agree(ran: Ran, as_json: Ran, report: Mapping[str, Any]) -> None:
    """The command's table, its JSON and the page's totals, number by number."""
    assert set(as_json.json["totals"]) == {one["currency"] for one in report["totals"]}
    for one in report["totals"]:
        currency, told = one["currency"], as_json.json["totals"][one["currency"]]
        parts = {"": "total", "expected_": "expected", "repeated_": "repeated", "ignored_": "ignored"}
        for side in ("provider", "ledger"):
            for prefix, part in parts.items():
                assert told[side][f"{prefix}minor"] == one[part][f"{side}_minor"], (side, part)
                assert told[side][f"{prefix}rows"] == one[part][f"{side}_rows"], (side, part)
            matched = one["matched"][f"{side}_minor"] + one["elsewhere"][f"{side}_minor"]
            assert told[side]["matched_minor"] == matched
            found = sum(part[f"{side}_minor"] for part in one["findings"].values())
            assert told[side]["findings_minor"] == found
            assert printed(ran.out, currency, side)[0] == shown(one["total"], side, currency)
            for place, part in ((2, "expected"), (4, "repeated"), (5, "ignored")):
                assert printed(ran.out, currency, side)[place] == shown(one[part], side, currency), part


def shown(part: Mapping[str, int], side: str, currency: str) -> str:
    return f"{format_minor(part[f'{side}_minor'], currency)} ({part[f'{side}_rows']:,})"


def printed(out: str, currency: str, side: str) -> Sequence[str]:
    [line] = [line for line in out.splitlines() if line.split()[:2] == [currency, side]]
    return re.findall(rf"-?[0-9,.]+ {currency} \([0-9,]+\)", line)


@pytest.mark.parametrize(
    ("rows", "settled", "ignored"),
    [
        ([SETTLED, REST, FEES, PAYOUT], 1, 12_000),
        ([SETTLED, REST, FEES, PAYOUT, SETTLED, FEES | {"Net Debit (NC)": "1.00"}], 1, 12_000),
        ([SETTLED, REST, REST | {"Net Credit (NC)": "", "Net Debit (NC)": "120.00"}], 0, 0),
        ([SETTLED, PAYOUT, PAYOUT, PAYOUT | {"Type": "BankInstructionReturned", "Net Debit (NC)": "",
                                             "Net Credit (NC)": "165.49"}], 3, 0),
        ([SETTLED, merchant(41, "InvoiceDeduction", "Invoice 7, paid; see mail", "2026-11-20 12:00:00", "9.99"),
          merchant(41, "DepositCorrection", "Deposit Correction", "2026-11-20 12:00:00", "", "78.93")], 0, 7893),
    ],
)  # fmt: skip
def test_the_report_as_it_comes_is_clean_and_the_totals_agree(
    books: Books, run: Run, tmp_path: Path, rows: list[dict[str, str]], settled: int, ignored: int
) -> None:
    file = tmp_path / "settlement_detail_report_batch_41.csv"
    write_report(file, rows)
    first = reconcile(run, file)
    assert first.code == 0, first.out + first.err
    assert f"{settled} settlements to the bank" in first.out
    again, told = reconcile(run, file), reconcile(run, file, "adyen", "--json")
    assert (again.code, told.json["bad_rows"], told.json["settlements_booked"]) == (0, 0, 0)
    assert told.json["totals"]["EUR"]["provider"]["ignored_minor"] == ignored
    assert_agree(again, told, reported(tmp_path))


def test_totals_agree_with_rows_that_repeat_contradict_and_are_ignored(
    books: Books, run: Run, tmp_path: Path
) -> None:
    """Two rows of one transfer id: the transfer, and what it cost."""
    file = tmp_path / "transfers.csv"
    file.write_text(TRANSFERS)
    shop = replace(books, provider="shop")
    shop.moved("order-w2", 12_500, at=NOON, currency="USD")
    shop.moved("order-w1", -35_738, "refund", NOON, "USD")
    ran = reconcile(run, file, "shop")
    assert ran.code == 1
    told = reconcile(run, file, "shop", "--json")
    assert told.json["findings"]["duplicate_record"] == 1
    dollars = told.json["totals"]["USD"]["provider"]
    assert (dollars["repeated_minor"], dollars["ignored_minor"], dollars["minor"]) == (
        12_500, -700, 12_500 - 35_738 - 1135,
    )  # fmt: skip
    assert_agree(ran, told, reported(tmp_path, "shop"))
    page = (tmp_path / "reports/acme-shop-2026-11-20.html").read_text()
    assert "Beside it: repeated" in page
    assert "name more columns as <code>record_id</code>" in page


def test_explain_knows_a_settlement_by_the_provider_s_words(books: Books, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "batch.csv"
    write_report(file, [SETTLED, REST, FEES, PAYOUT])
    assert reconcile(run, file).code == 0
    ran = run("explain", "TX635000001XT batch 41, SHOPCO_EU", "--tenant", "acme", "--json")
    [told] = ran.json
    assert {(row["code"], row["amount_minor"]) for row in told["ledger"]} == {
        ("provider:adyen:clearing", 16_549), ("bank:main", -16_549),
    }  # fmt: skip
