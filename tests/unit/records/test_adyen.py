"""Adyen's settlement details report, row type by row type, and what is wrong with a row."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.unit.records.reports import (
    HEADER,
    NAMELESS,
    NO_FEES,
    SETTLED,
    adyen_file,
    one_adyen,
    one_record,
    read,
    read_adyen,
    settled,
)
from worker.providers.records.port import BadRow, Record, SourceFailed

DEBIT = {
    "Gross Credit (GC)": "",
    "Gross Debit (GC)": "12.50",
    "Net Credit (NC)": "",
    "Net Debit (NC)": "12.90",
}
NET_DEBIT = NAMELESS | {"Gross Credit (GC)": "", "Net Credit (NC)": "", "Net Debit (NC)": "5.00"}
NET_CREDIT = NAMELESS | {"Gross Credit (GC)": "", "Net Credit (NC)": "5.00"}


def test_a_settled_row_in_full(tmp_path: Path) -> None:
    assert one_adyen(tmp_path, SETTLED) == Record(
        record_id="8814689190961342:9914689190961342:Settled:118",
        kind="deposit",
        reference="order-1",
        object_id="8814689190961342",
        amount_minor=1250,
        currency="EUR",
        fee_minor=40,
        fee_currency="EUR",
        status="Settled",
        occurred_at=datetime(2026, 11, 20, 9, 0, tzinfo=UTC),
        line=2,
    )


@pytest.mark.parametrize(
    ("type_", "changed", "kind", "amount_minor"),
    [
        ("Settled", {}, "deposit", 1250),
        ("Refunded", DEBIT, "refund", -1250),
        ("RefundedReversed", {}, "refund", 1250),
        ("Chargeback", DEBIT, "chargeback", -1250),
        ("SecondChargeback", DEBIT, "chargeback", -1250),
        ("ChargebackReversed", {}, "chargeback", 1250),
        ("PaidOut", DEBIT, "payout", -1250),
        ("PaidOutReversed", {}, "payout", 1250),
        ("Fee", NET_DEBIT, "fee", -500),
        ("Fee", NET_CREDIT, "fee", 500),
        ("Fee", NET_DEBIT | {"Gross Credit (GC)": "0.00"}, "fee", -500),
        ("MiscCosts", NET_DEBIT, "fee", -500),
        ("PaymentCost", NET_DEBIT, "fee", -500),
        ("InvoiceDeduction", NET_DEBIT, "fee", -500),
        ("MerchantPayout", NET_DEBIT, "own_transfer", -500),
        ("DepositCorrection", NET_CREDIT, "ignore", 500),
        ("Balancetransfer", NET_CREDIT, "ignore", 500),
        ("MatchedStatement", NET_CREDIT, "other", 500),
        ("ManualCorrected", NET_DEBIT, "other", -500),
        ("BankInstructionReturned", NET_CREDIT, "own_transfer", 500),
        ("InventedTomorrow", DEBIT, "other", -1250),
        ("InventedTomorrow", NET_CREDIT, "other", 500),
    ],
)
def test_every_type_of_row(
    tmp_path: Path, type_: str, changed: dict[str, str], kind: str, amount_minor: int
) -> None:
    record = one_record(read_adyen(tmp_path, SETTLED | changed | {"Type": type_}))
    assert (record.kind, record.amount_minor, record.status) == (kind, amount_minor, type_)


@pytest.mark.parametrize(
    ("currency", "told", "amount_minor"),
    [
        ("JPY", "1250", 1250),
        ("BHD", "1.250", 1250),
        ("CLP", "10.00", 10),
        ("CVE", "10", 1000),
        ("IDR", "10", 1000),
        ("ISK", "10.00", 10),
        ("EUR", "92233720368547758.07", 2**63 - 1),
    ],
)
def test_adyen_counts_with_its_own_exponents(
    tmp_path: Path, currency: str, told: str, amount_minor: int
) -> None:
    row = settled(Gross_Currency=currency) | {"Gross Credit (GC)": told}
    record = one_record(read_adyen(tmp_path, row))
    assert (record.amount_minor, record.currency) == (amount_minor, currency)


def test_a_fee_is_in_the_currency_of_the_settlement(tmp_path: Path) -> None:
    row = SETTLED | NO_FEES | {"Net Currency": "JPY", "Net Credit (NC)": "1900", "Commission (NC)": "40"}
    record = one_record(read_adyen(tmp_path, row))
    assert (record.amount_minor, record.currency) == (1250, "EUR")
    assert (record.fee_minor, record.fee_currency) == (40, "JPY")


def test_a_fee_may_be_given_back(tmp_path: Path) -> None:
    assert one_record(read_adyen(tmp_path, settled() | {"Interchange (NC)": "-1.00"})).fee_minor == -67


def test_a_net_amount_has_its_fee_inside(tmp_path: Path) -> None:
    row = SETTLED | NET_DEBIT | {"Type": "PaymentCost", "Markup (NC)": "5.00"}
    record = one_record(read_adyen(tmp_path, row))
    assert (record.amount_minor, record.fee_minor) == (0, 500)


def test_a_gross_amount_in_the_other_column_is_read_where_the_net_stands_right(tmp_path: Path) -> None:
    row = settled() | {"Gross Credit (GC)": "", "Gross Debit (GC)": "12.50"}
    assert one_record(read_adyen(tmp_path, row)).amount_minor == 1250


@pytest.mark.parametrize(
    ("label", "written", "utc"),
    [
        ("CET", "2026-11-20 10:00:00", "2026-11-20T09:00:00"),
        ("CEST", "2026-07-20 10:00:00", "2026-07-20T08:00:00"),
        ("UTC", "2026-11-20 10:00:00", "2026-11-20T10:00:00"),
        ("BST", "2026-06-11 04:55:40", "2026-06-11T03:55:40"),
        ("HKT", "2026-05-08 01:00:00", "2026-05-07T17:00:00"),
        ("", "2026-11-20 10:00:00", "2026-11-20T09:00:00"),
        ("America/New_York", "2026-11-20 10:00:00", "2026-11-20T15:00:00"),
        # 25 October 2026, 02:30 happens twice in Amsterdam: the label says which; without one it is the first
        ("CEST", "2026-10-25 02:30:00", "2026-10-25T00:30:00"),
        ("CET", "2026-10-25 02:30:00", "2026-10-25T01:30:00"),
        ("", "2026-10-25 02:30:00", "2026-10-25T00:30:00"),
        ("Europe/Amsterdam", "2026-10-25 02:30:00", "2026-10-25T00:30:00"),
        # 29 March 2026, 02:30 never happened: as if the clock had not been moved
        ("", "2026-03-29 02:30:00", "2026-03-29T01:30:00"),
    ],
)
def test_times_are_in_the_zone_that_the_row_names(tmp_path: Path, label: str, written: str, utc: str) -> None:
    record = one_record(read_adyen(tmp_path, settled(Creation_Date=written, TimeZone=label)))
    assert record.occurred_at == datetime.fromisoformat(utc).replace(tzinfo=UTC)


@pytest.mark.parametrize(("zone", "hours"), [("America/Chicago", -6), ("Asia/Shanghai", 8)])
def test_an_abbreviation_of_several_zones_is_the_account_s(tmp_path: Path, zone: str, hours: int) -> None:
    path = adyen_file(tmp_path, [settled(TimeZone="CST")])
    record = one_record(read("adyen_settlement", path, zone=ZoneInfo(zone)))
    assert record.occurred_at == datetime(2026, 11, 20, 10 - hours, tzinfo=UTC)


@pytest.mark.parametrize(("label", "hour"), [("CDT", 6), ("CST", 7)])
def test_the_account_s_own_abbreviation_tells_two_equal_hours_apart(
    tmp_path: Path, label: str, hour: int
) -> None:
    path = adyen_file(tmp_path, [settled(Creation_Date="2026-11-01 01:30:00", TimeZone=label)])
    record = one_record(read("adyen_settlement", path, zone=ZoneInfo("America/Chicago")))
    assert record.occurred_at == datetime(2026, 11, 1, hour, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"Creation Date": "20/11/2026 10:00"}, "Creation Date is not written YYYY-MM-DD HH:MM:SS"),
        ({"Creation Date": "46346.41667"}, "Creation Date is not written"),
        ({"Creation Date": "2026-13-45 10:00:00"}, "Creation Date is not a time"),
        ({"Creation Date": "0001-01-01 00:00:00", "TimeZone": ""}, "Creation Date is not a time"),
        ({"TimeZone": "CST"}, "the time zone of Creation Date is not known"),
        ({"TimeZone": "../../etc/passwd"}, "the time zone of Creation Date is not known"),
        ({"TimeZone": "Europe/Nowhere"}, "the time zone of Creation Date is not known"),
        ({"Psp Reference": "8.81469E+15"}, "Psp Reference is not an id"),
        ({"Modification Reference": "#REF!"}, "Modification Reference is not an id"),
        ({"Batch Number": ""}, "Batch Number is empty"),
        ({"Batch Number": "118.0"}, "Batch Number is empty, or not a number"),
        ({"Type": ""}, "Type is empty"),
        ({"Type": "=1+1"}, "Type is empty, or not a name"),
        ({"Gross Currency": ""}, "the currency of Gross Credit is empty"),
        ({"Gross Currency": "eur"}, "three capital letters"),
        ({"Gross Currency": "XAU"}, "not an ISO 4217 currency with a minor unit"),
        ({"Net Currency": "", "Gross Currency": ""}, "is empty"),
        ({"Gross Credit (GC)": "1 250.00"}, "Gross Credit is not a plain decimal"),
        ({"Gross Credit (GC)": '"1,250.00"'}, "Gross Credit is not a plain decimal"),
        ({"Gross Credit (GC)": "1.250"}, "Gross Credit has more than 2 digits"),
        ({"Gross Credit (GC)": "1.2E+3"}, "Gross Credit is not a plain decimal"),
        ({"Gross Credit (GC)": "NaN"}, "Gross Credit is not a plain decimal"),
        ({"Gross Credit (GC)": "12.505"}, "Gross Credit has more than 2 digits"),
        ({"Gross Credit (GC)": "1", "Gross Debit (GC)": "1"}, "one must be empty or 0"),
        ({"Gross Credit (GC)": "-12.50"}, "one must be empty or 0, and none negative"),
        ({"Gross Credit (GC)": "92233720368547758.08"}, "larger than BIGINT"),
        ({"Gross Credit (GC)": ""}, "there is no amount"),
        ({"Gross Currency": "CLP", "Gross Credit (GC)": "10.50"}, "no whole ISO 4217 minor units"),
        ({"Gross Currency": "CVE", "Gross Credit (GC)": "10.50"}, "more than 0 digits"),
        ({"Commission (NC)": "0.125"}, "Commission (NC) has more than 2 digits"),
        (DEBIT, "debit and credit say the opposite of the Type"),
        ({"Merchant Reference": "x" * 256}, "Merchant Reference is not a printable text"),
        ({"Merchant Reference": "a\x07b"}, "Merchant Reference is not a printable text"),
        ({"Merchant Reference": "a\x00b"}, "a NUL character is in it"),
        ({"Merchant Reference": "a,b"}, "31 columns, the header has 30"),
    ],
)
def test_a_row_that_is_not_understood_is_kept_with_its_reason(
    tmp_path: Path, changed: dict[str, str], reason: str
) -> None:
    first, bad, last = read_adyen(tmp_path, SETTLED, SETTLED | changed, SETTLED)
    assert isinstance(first, Record)
    assert isinstance(last, Record)
    assert isinstance(bad, BadRow)
    assert reason in bad.reason
    assert (bad.line, bad.raw[:14]) == (3, "Acme,AcmeECOM,")
    assert "\x00" not in bad.raw


def test_the_same_row_of_a_report_that_is_sent_again_has_the_same_id(tmp_path: Path) -> None:
    fee = SETTLED | NET_DEBIT | {"Type": "Fee"}
    first = [row.record_id for row in records(tmp_path, SETTLED, fee, fee)]
    again = [
        row.record_id for row in records(tmp_path, fee, settled(Type="Chargeback") | DEBIT, fee, SETTLED)
    ]
    assert len(set(first)) == 3
    assert set(first) < set(again)


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        ("Fee", "Transaction Fees November     20 2026"),
        ("Fee", "Transaction Fees Oct-2026 (EUR 0.11 x 36)"),
        ("MerchantPayout", '"TX635000001XT batch 41, ACME_EU"'),
        ("Balancetransfer", "Balancetransfer"),
        ("DepositCorrection", "Deposit Correction"),
        ("MiscCosts", "POS terminals \u2013 S\u00e3o Paulo #12/11"),
        ("InvoiceDeduction", "Deduction of invoice 2026.11/EU-000123 & 2 others"),
    ],
)
def test_a_row_about_no_payment_describes_itself_in_free_text(tmp_path: Path, type_: str, text: str) -> None:
    row = SETTLED | NET_DEBIT | {"Type": type_, "Modification Reference": text}
    (first,) = records(tmp_path, row)
    (again,) = records(tmp_path, row | {"Modification Reference": text.replace("     ", " ")})
    assert first.record_id == again.record_id
    assert first.object_id == " ".join(text.strip('"').split())
    (other,) = records(tmp_path, row | {"Net Debit (NC)": "5.01"})
    assert other.record_id != first.record_id


def test_a_description_that_cannot_be_printed_is_not_understood(tmp_path: Path) -> None:
    row = SETTLED | NET_DEBIT | {"Type": "Fee", "Modification Reference": "Fees\x07 November"}
    (bad,) = read_adyen(tmp_path, row)
    assert isinstance(bad, BadRow)
    assert "Modification Reference is not a printable text" in bad.reason


def test_a_fee_that_is_corrected_later_leaves_the_id(tmp_path: Path) -> None:
    for row in (SETTLED, SETTLED | NET_DEBIT | {"Type": "PaymentCost"}):
        (first,), (again,) = records(tmp_path, row), records(tmp_path, row | {"Markup (NC)": "0.21"})
        assert first.record_id == again.record_id
        assert first.fee_minor != again.fee_minor


def test_captures_refunds_and_batches_of_one_payment_are_told_apart(tmp_path: Path) -> None:
    rows = [
        SETTLED,
        settled(Modification_Reference="9914689190961343"),
        settled(Batch_Number="119"),
        settled(Type="Refunded") | DEBIT,
    ]
    assert len({row.record_id for row in records(tmp_path, *rows)}) == 4


def records(folder: Path, *rows: dict[str, str]) -> list[Record]:
    found = read_adyen(folder, *rows)
    assert not [row for row in found if isinstance(row, BadRow)]
    return [row for row in found if isinstance(row, Record)]


@pytest.mark.parametrize(
    ("header", "missing"),
    [
        (HEADER.replace("TimeZone,", "").replace(",Net Currency", ""), "lacks TimeZone, Net Currency"),
        (HEADER.replace(",", ";"), "and 13 more"),
        (HEADER.replace("Type", "Journal Type"), "lacks Type"),
        (HEADER.replace("Reserved4", "Type"), "has Type twice"),
        ('"' + HEADER, "the header cannot be read"),
    ],
)
def test_another_header_is_no_report_of_adyen_s(tmp_path: Path, header: str, missing: str) -> None:
    with pytest.raises(SourceFailed, match=missing):
        read("adyen_settlement", adyen_file(tmp_path, [SETTLED], header))


def test_the_order_of_columns_is_free_and_more_are_welcome(tmp_path: Path) -> None:
    names = [*reversed(HEADER.split(",")), "Booking Date"]
    path = tmp_path / "report.csv"
    path.write_text(",".join(names) + "\n" + ",".join(SETTLED.get(name, "") for name in names))
    assert one_record(read("adyen_settlement", path)).amount_minor == 1250
