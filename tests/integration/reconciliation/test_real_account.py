"""A real account's days, rewritten: Adyen's batches, Stripe's automatic payouts and the bank's statement agree."""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from models.ledger.verify import verify
from models.reconciliation.due import RunName
from tasks.reconciliation.hands import Hands
from tasks.reconciliation.nightly import Told, run_night, source_of
from tests.integration.providers.accounts import account
from tests.integration.providers.replaying import Replaying, Reply, Seen
from tests.integration.reconciliation.books import Books
from tests.unit.records.reports import COLUMNS
from worker.providers.records.adyen import FEES
from worker.providers.records.asking import Patience
from worker.providers.records.columns import ColumnMap, RecordsSettings
from worker.settings import ProviderSettings, TenantSettings

FRIDAY, SATURDAY, TUESDAY = date(2026, 11, 20), date(2026, 11, 21), date(2026, 11, 24)
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def paid(
    batch: int, type_: str, reference: str, at: str, debit: str, credit: str, fees: str, net: tuple[str, str]
) -> dict[str, str]:
    """A row about a payment. `fees`: commission, markup, scheme fees and interchange."""
    number = int(reference.split("-")[1])
    return merchant(batch, type_, f"86{number}{len(type_):013}", at, *net) | {
        "Psp Reference": f"85{number:014}", "Merchant Reference": reference, "Payment Method": "visa",
        "Gross Currency": "EUR", "Gross Debit (GC)": debit, "Gross Credit (GC)": credit, "Exchange Rate": "1",
        **dict(zip(FEES, fees.split(), strict=True)),
    }  # fmt: skip


def merchant(
    batch: int, type_: str, text: str, at: str, debit: str, credit: str = "", note: str = ""
) -> dict[str, str]:
    """A row about no payment."""
    return {
        "Company Account": "ShopCo", "Merchant Account": "SHOPCO_EU", "Creation Date": at, "TimeZone": "CET",
        "Type": type_, "Modification Reference": text, "Net Currency": "EUR", "Net Debit (NC)": debit,
        "Net Credit (NC)": credit, "Modification Merchant Reference": note, "Batch Number": str(batch),
    }  # fmt: skip


BATCH_40 = [
    paid(40, "Settled", "order-1", "2026-11-20 10:11:12", "", "50.00", "0 0.40 0.10 0.20", ("", "49.30")),
    paid(40, "Settled", "order-2", "2026-11-20 11:11:12", "", "80.00", "0 0.60 0.20 0.20", ("", "79.00")),
    paid(40, "Refunded", "order-2", "2026-11-20 12:11:12", "10.00", "", "0.10 0 0 0", ("10.10", "")),
    paid(40, "Chargeback", "order-9", "2026-11-20 13:11:12", "20.00", "", "15.00 0 0 0", ("35.00", "")),
    merchant(40, "Fee", "Transaction Fees November     19 2026", "2026-11-20 20:00:01", "3.00"),
    merchant(40, "InvoiceDeduction", "Deduction of EU-2026/11, 123", "2026-11-20 20:00:01", "12.00"),
    merchant(40, "DepositCorrection", "Deposit Correction", "2026-11-20 20:00:01", "30.00"),
    merchant(40, "Balancetransfer", "Balancetransfer", "2026-11-20 20:10:00", "8.20", note="to batch 41"),
    merchant(40, "MerchantPayout", "TX635000000XT batch 40, SHOPCO_EU", "2026-11-20 20:20:00", "30.00"),
]
BATCH_41 = [
    paid(41, "Settled", "order-3", "2026-11-21 10:11:12", "", "100.00", "0 0.90 0.10 0.20", ("", "98.80")),
    paid(41, "ChargebackReversed", "order-9", "2026-11-21 13:11:12", "", "20.00", "0 0 0 0", ("", "20.00")),
    merchant(41, "Balancetransfer", "Balancetransfer", "2026-11-21 16:24:23", "", "8.20", "from batch 40"),
    merchant(41, "MiscCosts", "Terminal lease 11/2026 (2 x EUR 2.50)", "2026-11-21 16:46:38", "5.00"),
    merchant(41, "Fee", "Transaction Fees November     20 2026", "2026-11-21 16:46:38", "3.81"),
    merchant(41, "DepositCorrection", "Deposit Correction", "2026-11-21 16:46:38", "", "30.00"),
    merchant(41, "MerchantPayout", "TX635000001XT batch 41, SHOPCO_EU", "2026-11-21 16:46:38", "148.19"),
]

STATEMENT = {
    "Adyen 40": "B-1;24.11.2026;30,00;EUR;TRANSFER;ADYEN N.V. TX635000000XT BATCH 40",
    "Adyen 41": "B-2;24.11.2026;148,19;EUR;TRANSFER;ADYEN N.V. TX635000001XT BATCH 41",
    "Stripe 1": "B-3;24.11.2026;24,40;EUR;TRANSFER;STRIPE PAYMENTS EUROPE",
    "Stripe 3": "B-4;24.11.2026;50,00;EUR;TRANSFER;STRIPE PAYMENTS EUROPE",
}
KEEPING = "B-5;24.11.2026;-2,50;EUR;FEE;ACCOUNT KEEPING"
RENT = "B-6;24.11.2026;-900,00;EUR;OUT;OFFICE RENT"


def charge(number: int, amount: int, fee: int, at: str) -> dict[str, Any]:
    source = {
        "id": f"ch_{number}", "object": "charge", "amount": amount, "amount_captured": amount, "currency": "eur",
        "payment_intent": f"pi_{number}", "metadata": {"reference": f"basket-{number}"},
    }  # fmt: skip
    return transaction(f"txn_c{number}", "charge", amount, at, source, fee)


def automatic(name: str, type_: str, amount: int, at: str) -> dict[str, Any]:
    source = {
        "id": name, "object": "payout", "automatic": True, "metadata": {}, "currency": "eur", "amount": abs(amount),
    }  # fmt: skip
    return transaction(f"txn_{name}_{type_}", type_, amount, at, source)


def transaction(name: str, type_: str, amount: int, at: str, source: object, fee: int = 0) -> dict[str, Any]:
    created = int(datetime.fromisoformat(f"{at}+00:00").timestamp())
    return {
        "id": name, "object": "balance_transaction", "amount": amount, "fee": fee, "net": amount - fee,
        "currency": "eur", "created": created, "exchange_rate": None, "type": type_, "reporting_category": type_,
        "status": "available", "source": source,
    }  # fmt: skip


class Balance(Replaying):
    """Stripe's list of balance transactions, newest first, of the time that is asked for, three a page."""

    rows: list[dict[str, Any]]

    def _decide(self, seen: Seen) -> Reply:
        target = urlsplit(seen.target)
        query = {name: value for name, (value,) in parse_qs(target.query).items()}
        rows = [] if target.path.endswith("/events") else self.rows
        since, until = int(query["created[gte]"]), int(query["created[lt]"])
        rows = sorted(
            (row for row in rows if since <= row["created"] < until), key=lambda row: -row["created"]
        )
        ids = [row["id"] for row in rows]
        start = ids.index(query["starting_after"]) + 1 if "starting_after" in query else 0
        page, more = rows[start : start + 3], len(rows) > start + 3
        return Reply(200, {"object": "list", "url": target.path, "has_more": more, "data": page})


STRIPE = [
    charge(1, 2500, 60, "2026-11-20T09:00:00"),
    charge(2, 5200, 200, "2026-11-20T10:00:00"),
    automatic("po_1", "payout", -2440, "2026-11-20T15:00:00"),
    automatic("po_2", "payout", -5000, "2026-11-20T16:00:00"),
    automatic("po_2", "payout_failure", 5000, "2026-11-21T08:00:00"),
    automatic("po_3", "payout_minimum_balance_hold", -100, "2026-11-21T09:00:00"),
    automatic("po_3", "payout_minimum_balance_release", 100, "2026-11-21T09:00:00"),
    automatic("po_3", "payout", -5000, "2026-11-21T09:00:00"),
]


@pytest.fixture
def stripe() -> Iterator[Balance]:
    with Balance() as server:
        server.rows = STRIPE
        yield server


class Office:
    """Who runs the nights of the three accounts."""

    def __init__(self, books: Books, folder: Path, stripe: Balance) -> None:
        adyen = ProviderSettings(
            name="adyen",
            adapter="adyen",
            webhook_secrets=(SecretStr("00ff"),),
            bank_account="main",
            records=settlement_files(folder),
        )
        bank = ProviderSettings(name="bank", bank_account="main", records=statements(folder))
        accounts = {
            "adyen": adyen,
            "stripe": account("stripe", stripe.url, "sk_live_x", bank_account="main"),
            "bank": bank,
        }
        tenants = {"acme": TenantSettings(name="acme", providers=accounts)}
        self.folder = folder
        self.hands = Hands(books.transaction, tenants, folder / "reports", lambda: NOW, Patience(tries=1))

    def runs(self, provider: str, day: date) -> Told:
        run, found = RunName("acme", provider, day), self.hands.account("acme", provider)
        assert found is not None
        told = run_night(self.hands, run, found, source_of(self.hands, run, found))
        assert told.paths is not None, told.problem
        return told

    def shows(self, *rows: str) -> None:
        text = "\n".join(["Id;Booked;Amount;Currency;Type;Text", *rows, ""])
        (self.folder / "bank-2026-11-24.csv").write_text(text)


def write_report(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """As it comes: two empty lines, the header, the rows."""
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write("\n\n")
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def settlement_files(folder: Path) -> RecordsSettings:
    for number, rows in ((40, BATCH_40), (41, BATCH_41)):
        write_report(folder / f"settlement_detail_report_batch_{number}.csv", rows)
    path = str(folder / "settlement_detail_report_batch_*.csv")
    return RecordsSettings(path=path, format="adyen_settlement", timezone="Europe/Amsterdam")


def statements(folder: Path) -> RecordsSettings:
    columns = ColumnMap(
        record_id="Id", occurred_at="Booked", time_format="%d.%m.%Y", amount="Amount", unit="major", decimal_mark=",",
        delimiter=";", currency="Currency", kind="Type", reference="Text",
        kinds={"TRANSFER": "own_transfer", "FEE": "fee", "OUT": "ignore"},
    )  # fmt: skip
    path = str(folder / "bank-*.csv")
    return RecordsSettings(path=path, format="csv", timezone="Europe/Amsterdam", columns=columns)


@pytest.fixture
def office(books: Books, tmp_path: Path, stripe: Balance) -> Office:
    """The ledger has what the webhooks told of: payments, a refund, a dispute that was won."""
    adyen, shop = replace(books, provider="adyen"), replace(books, provider="stripe")
    friday, saturday = (datetime(2026, 11, day, 12, tzinfo=UTC) for day in (20, 21))
    adyen.moved("order-1", 5000, at=friday)
    adyen.moved("order-2", 8000, at=friday)
    adyen.moved("order-2", -1000, "refund", at=friday)
    adyen.moved("order-9", -2000, "chargeback", at=friday)
    adyen.moved("order-3", 10000, at=saturday)
    adyen.moved("order-9", 2000, "chargeback", at=saturday)
    shop.moved("basket-1", 2500, at=friday)
    shop.moved("basket-2", 5200, at=friday)
    return Office(books, tmp_path, stripe)


NIGHTS = [("adyen", FRIDAY), ("adyen", SATURDAY), ("stripe", FRIDAY), ("stripe", SATURDAY), ("bank", TUESDAY)]


@pytest.mark.parametrize("order", [NIGHTS, [*NIGHTS, *NIGHTS]])
def test_a_real_account_reconciles_clean(office: Office, books: Books, order: list[tuple[str, date]]) -> None:
    office.shows(*STATEMENT.values(), KEEPING, RENT)
    for provider, day in order:
        report = office.runs(provider, day).report
        assert (report.exit_code, report.findings, report.expected, report.bad_rows) == (0, {}, 0, 0), (
            provider,
            day,
        )
        assert report.adds_up
    for account_code, minor in {
        "provider:adyen:clearing": 0,
        "provider:stripe:clearing": 0,
        "bank:main": -(3000 + 14_819 + 2440 + 5000) + 250,
        "house:fees": -(70 + 100 + 10 + 1500 + 300 + 1200 + 120 + 500 + 381) - 260 - 250,
    }.items():
        assert books.balance(account_code) == minor, account_code
    with books.transaction() as session:
        assert not [check.name for check in verify(session, now=NOW) if check.broken]


@pytest.mark.parametrize("missing", sorted(STATEMENT))
def test_one_that_does_not_arrive_is_the_only_finding(office: Office, books: Books, missing: str) -> None:
    office.shows(*(row for name, row in STATEMENT.items() if name != missing))
    reports = [office.runs(provider, day).report for provider, day in NIGHTS]
    assert [report.findings for report in reports] == [{}, {}, {}, {}, {"missing_at_provider": 1}]
    [finding] = books.findings()
    amount = int(STATEMENT[missing].split(";")[2].replace(",", ""))
    assert (finding["provider"], finding["amount_minor"], finding["detail"]["line"]) == (
        "bank", amount, "own_transfer",
    )  # fmt: skip
    assert finding["subject"].startswith(f"settlement:{missing.split()[0].lower()}:")


def test_the_bank_may_run_before_the_providers(office: Office) -> None:
    """What arrived and nobody has told of yet is expected, then a finding, then in order."""
    office.shows(*STATEMENT.values())
    assert office.runs("bank", TUESDAY).report.expected == 4
    for provider, day in NIGHTS[:4]:
        assert office.runs(provider, day).report.exit_code == 0
    assert office.runs("bank", TUESDAY).report.exit_code == 0


def test_the_report_tells_of_settlements_and_of_what_was_compared_with_nothing(office: Office) -> None:
    told = office.runs("adyen", FRIDAY)
    assert told.paths is not None
    page, facts = told.paths.html.read_text(), json.loads(told.paths.json.read_text())
    assert facts["settlements"] == [
        {"account": "bank:main", "currency": "EUR", "amount_minor": 3000, "records": 1, "shown_by": "bank"}
    ]
    assert [(one["type"], one["amount_minor"], one["records"]) for one in facts["ignored"]] == [
        ("Balancetransfer", -820, 1), ("DepositCorrection", -3000, 1),
    ]  # fmt: skip
    assert "the nights of bank look for it" in page
    assert "Records compared with nothing" in page


def test_without_a_bank_s_records_the_report_expects_it_there(office: Office, books: Books) -> None:
    tenants = office.hands.tenants["acme"]
    alone = {name: one for name, one in tenants.providers.items() if name != "bank"}
    office.hands = replace(office.hands, tenants={"acme": tenants.model_copy(update={"providers": alone})})
    told = office.runs("adyen", FRIDAY)
    assert told.paths is not None
    assert "expected at the bank" in told.paths.html.read_text()
    assert (told.report.exit_code, books.balance("bank:main")) == (0, -3000)


def test_declared_kinds_are_the_account_s(office: Office, books: Books) -> None:
    tenants = office.hands.tenants["acme"]
    declared = {"MiscCosts": "ignore", "MerchantPayout": "other", "DepositCorrection": "own_transfer"}
    adyen = tenants.providers["adyen"].model_copy(update={"record_kinds": declared})
    providers = {**tenants.providers, "adyen": adyen}
    office.hands = replace(
        office.hands, tenants={"acme": tenants.model_copy(update={"providers": providers})}
    )
    office.runs("adyen", FRIDAY)
    report = office.runs("adyen", SATURDAY).report
    assert report.findings == {"missing_in_ledger": 2}
    assert {one["detail"]["provider_status"] for one in books.findings()} == {"MerchantPayout"}
    assert [one.type for one in report.ignored_records] == ["Balancetransfer", "MiscCosts"]
    assert books.balance("bank:main") == 0
    first = office.runs("adyen", FRIDAY)
    assert first.paths is not None
    assert "declare it in the account" in first.paths.html.read_text()
