"""Adyen's settlement details report: one row for each payment, refund, chargeback, payout, fee and correction.

Source of columns and types: docs.adyen.com/reporting/settlement-reconciliation/transaction-level. Amounts are decimals
in major units with Adyen's own exponents. What the provider keeps is Commission, Markup, Scheme Fees and Interchange,
in the settlement's currency (NC); gross amounts are in the payment's (GC). A row without a gross amount has its net,
fee included: its fee is added back, so that amount - fee is always what was settled.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from typing import Literal
from zoneinfo import ZoneInfo

from worker.providers.adyen import exponent
from worker.providers.records import cells
from worker.providers.records.cells import Unreadable
from worker.providers.records.port import Record, RecordKind

FEES = ("Commission (NC)", "Markup (NC)", "Scheme Fees (NC)", "Interchange (NC)")
COLUMNS = (
    "Merchant Account", "Psp Reference", "Merchant Reference", "Creation Date", "TimeZone", "Type",
    "Modification Reference", "Gross Currency", "Gross Debit (GC)", "Gross Credit (GC)", "Net Currency",
    "Net Debit (NC)", "Net Credit (NC)", *FEES, "Batch Number",
)  # fmt: skip
NAMELESS_ROWS_MAX = 10_000
"""Of the rows without a PSP reference (fees, corrections) so many are told apart; a batch has a handful."""

Sign = Literal[-1, 0, 1]

# Type -> what it is, and its sign; 0: as the columns say. What is in no row is `other`, and kept.
# MerchantPayout is Adyen's own transfer of the settlement to our bank, BankInstructionReturned one that came back; none
# is a payout of ours. Balancetransfer carries the rest of a batch into the next, in two rows that cancel each other;
# DepositCorrection moves money into or out of the deposit that Adyen keeps of ours: neither changes what it owes us.
TYPES: Mapping[str, tuple[RecordKind, Sign]] = {
    "Settled": ("deposit", 1),
    "SettledReversed": ("deposit", -1),
    "Refunded": ("refund", -1),
    "RefundedReversed": ("refund", 1),
    "Chargeback": ("chargeback", -1),
    "SecondChargeback": ("chargeback", -1),
    "ChargebackReversed": ("chargeback", 1),
    "PaidOut": ("payout", -1),
    "PaidOutReversed": ("payout", 1),
    "Fee": ("fee", 0),
    "MiscCosts": ("fee", 0),
    "PaymentCost": ("fee", 0),
    "InvoiceDeduction": ("fee", 0),
    "MerchantPayout": ("own_transfer", 0),
    "BankInstructionReturned": ("own_transfer", 0),
    "Balancetransfer": ("ignore", 0),
    "DepositCorrection": ("ignore", 0),
    "MatchedStatement": ("other", 0),
    "ManualCorrected": ("other", 0),
}

_ID = re.compile(r"[A-Za-z0-9_-]{1,80}", re.ASCII)
_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_ -]{0,79}", re.ASCII)
_BATCH = re.compile(r"\d{1,12}", re.ASCII)

Row = Mapping[str, str]


class SettlementRows:
    """One report's rows; remembers the nameless ones of it. `record` raises Unreadable."""

    needed = COLUMNS

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._nameless: Counter[str] = Counter()

    def record(self, row: Row, line: int) -> Record:
        if not _TYPE.fullmatch(type_ := row["Type"]):
            raise Unreadable("Type is empty, or not a name")
        kind, sign = TYPES.get(type_, ("other", 0))
        amount, currency, fee, fee_currency = _money(row, sign)
        return Record(
            record_id=self._record_id(row),
            kind=kind,
            reference=cells.reference(row["Merchant Reference"], "Merchant Reference"),
            object_id=_id(row, "Psp Reference") or _description(row),
            amount_minor=amount,
            currency=currency,
            fee_minor=fee,
            fee_currency=fee_currency,
            status=type_,
            occurred_at=cells.labelled_time(
                row["Creation Date"], row["TimeZone"], self._zone, "Creation Date"
            ),
            line=line,
        )

    def _record_id(self, row: Row) -> str:
        """The same for the same row of a report that is sent again: no line number, nothing that may be corrected."""
        if not _BATCH.fullmatch(batch := row["Batch Number"]):
            raise Unreadable("Batch Number is empty, or not a number")
        if psp_reference := _id(row, "Psp Reference"):
            modification = _id(row, "Modification Reference") or ""
            return f"{psp_reference}:{modification}:{row['Type']}:{batch}"
        named = f"{batch}:{row['Type']}:{_digest(row)}"
        if named in self._nameless or len(self._nameless) < NAMELESS_ROWS_MAX:
            self._nameless[named] += 1
        again = self._nameless[named]
        return named if again <= 1 else f"{named}:{again}"


def _digest(row: Row) -> str:
    described = {**row, "Modification Reference": _description(row) or ""}
    told = "\x1f".join(described[name] for name in COLUMNS if name not in FEES)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _description(row: Row) -> str | None:
    """Of a row that is about no payment "Modification Reference" is a text: "Transaction Fees November 20 2026"."""
    return cells.text(" ".join(row["Modification Reference"].split()), "Modification Reference")


def _id(row: Row, name: str) -> str | None:
    """A reference of Adyen's; a spreadsheet makes 8.8E+15 of it, and that is Unreadable."""
    if row[name] and not _ID.fullmatch(row[name]):
        raise Unreadable(f"{name} is not an id of letters, digits, - and _")
    return row[name] or None


def _money(row: Row, sign: Sign) -> tuple[int, str, int, str]:
    """The amount before its fee, its currency, the fee and its currency, all in ISO minor units."""
    gross, net = _side(row, "Gross", "GC"), _side(row, "Net", "NC")
    fee_currency = cells.currency(row["Net Currency"] or row["Gross Currency"], "Net Currency")
    fee = sum(_places(row[name], fee_currency, name) for name in FEES if row[name])
    if gross is not None and (gross or sign or net is None):
        amount, currency = _signed(gross, net, sign), row["Gross Currency"]
    elif net is not None and not sign:
        amount, currency = net + fee, row["Net Currency"]
    else:
        raise Unreadable("there is no amount in Gross Debit or Gross Credit, or a Net one where that may be")
    return (
        _minor(amount, currency, "the amount"),
        currency,
        _minor(fee, fee_currency, "the fee"),
        fee_currency,
    )


def _signed(gross: int, net: int | None, sign: Sign) -> int:
    """The type knows the sign. A gross amount in the other column is read so only where the net stands right."""
    if gross * sign >= 0:
        return gross
    if net is None or net * sign <= 0:
        raise Unreadable("debit and credit say the opposite of the Type")
    return -gross


def _side(row: Row, side: str, unit: str) -> int | None:
    """Credit less debit as Adyen counts, None when neither is there."""
    debit, credit = row[f"{side} Debit ({unit})"], row[f"{side} Credit ({unit})"]
    if not debit and not credit:
        return None
    currency = row[f"{side} Currency"]
    minus = _places(debit, currency, f"{side} Debit") if debit else 0
    plus = _places(credit, currency, f"{side} Credit") if credit else 0
    if minus < 0 or plus < 0 or (minus and plus):
        raise Unreadable(f"of {side} Debit and {side} Credit one must be empty or 0, and none negative")
    return plus - minus


def _places(value: str, currency: str, name: str) -> int:
    return cells.scaled(value, exponent(cells.currency(currency, f"the currency of {name}")), name)


def _minor(amount: int, currency: str, name: str) -> int:
    return cells.from_provider("adyen", amount, currency, name)
