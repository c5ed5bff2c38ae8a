"""Mappings: what is not told, or contradicts itself, is refused with a sentence that says what to set."""

from datetime import date, datetime
from typing import Any

import pytest

from tests.unit.backfills.sources.legacy import COLUMNS, told, with_columns
from worker.files.layout import ENCODINGS
from worker.sources.mapping import legacy_mapping
from worker.sources.port import RowKind, SourceFailed


def refused(mapping: dict[str, Any], kind: RowKind = "postings") -> str:
    with pytest.raises(SourceFailed) as raised:
        legacy_mapping(mapping, kind)
    return str(raised.value)


BY_KIND: dict[str, Any] = {"sign": "by_kind", "columns": with_columns(kind="kind")}


@pytest.mark.parametrize(
    ("mapping", "sentence"),
    [
        ({}, "unit: Field required"),
        (told(unit="cents"), "unit: Input should be 'minor' or 'major'"),
        (told(units="minor"), "units: Extra inputs are not permitted"),
        (told(namespace="Old:Wallet"), "namespace: String should match pattern"),
        (told(namespace=""), "namespace: String should match pattern"),
        (told(encoding="utf-16"), "encoding is one in which ASCII stays ASCII: utf-8, cp1252"),
        (told(encoding="utf-7"), "encoding is one in which ASCII stays ASCII"),
        (told(encoding="shift_jis"), "encoding is one in which ASCII stays ASCII"),
        (told(encoding="rot13"), "encoding is one in which ASCII stays ASCII"),
        (told(encoding="nonsense"), "encoding is one in which ASCII stays ASCII"),
        (told(encoding="a\x00b"), "encoding is one in which ASCII stays ASCII"),
        (told(delimiter=":"), "delimiter: Input should be ',', ';'"),
        (told(decimal_mark="'"), "decimal_mark: Input should be '.' or ','"),
        (told(thousands_separator="_"), "thousands_separator: Input should be"),
        (told(thousands_separator="."), "thousands_separator and decimal_mark cannot be the same"),
        (told(timezone="CET+1"), "'CET+1' is not an IANA time zone such as 'Europe/Istanbul'"),
        (told(timezone="../etc/passwd"), "is not an IANA time zone"),
        (told(ambiguous="first"), "ambiguous: Input should be 'refuse', 'earlier' or 'later'"),
        (told(time_format="%H:%M"), "time_format is iso, epoch, or a form of strptime with a whole date"),
        (told(time_format="DD/MM/YYYY"), "time_format is iso, epoch, or a form of strptime with a whole date"),
        (told(sign="minus"), "sign: Input should be 'signed' or 'by_kind'"),
        (told(currency="EUR"), "set either columns.currency, or currency for all rows, such as 'EUR'"),
        (told(columns=with_columns(currency=None)), "set either columns.currency, or currency for all rows"),
        (told(columns=with_columns(currency=None), currency="eur"), "an ISO 4217 currency with a minor unit"),
        (told(columns=with_columns(currency=None), currency="XXX"), "an ISO 4217 currency with a minor unit"),
        (told(columns=with_columns(owner=None)), "columns.owner: Field required"),
        (told(columns=with_columns(owner="")), "columns.owner: String should have at least 1 character"),
        (told(columns=with_columns(owner="own\x00er")), "columns.owner: a printable text without spaces around it"),
        (told(columns=with_columns(owner=" owner")), "columns.owner: a printable text without spaces around it"),
        (told(columns=with_columns(kind="kind"), kinds={"BET\x00": {}}), "a printable text without spaces around it"),
        (told(columns={**COLUMNS, "user": "x"}), "columns.user: Extra inputs are not permitted"),
        (told(columns={**COLUMNS, "id": 5}), "columns.id: a column, or a list of columns, was"),
        (told(columns=5), "columns: Input should be a valid dictionary"),
        (told(columns=with_columns(amount=None)), "set either amount, or both credit and debit"),
        (told(columns=with_columns(amount=None, credit="c")), "set either amount, or both credit and debit"),
        (told(columns=with_columns(credit="c", debit="d")), "set either amount, or both credit and debit"),
        (told(columns=with_columns(id=None)), "needs columns.id: without an id of its own a row cannot be posted once"),
        (told(columns=with_columns(occurred_at=None)), "set columns.occurred_at, or, for balances of"),
        (told(as_of="2024-01-01T00:00:00Z"), "set columns.occurred_at, or, for balances of"),
        (
            told(as_of="2024-01-01T00:00:00Z", columns=with_columns(occurred_at=None)),
            "as_of is for opening balances: postings need columns.occurred_at",
        ),
        (told(as_of=5), "as_of: a time with its offset was expected"),
        (told(as_of="2024-01-01T00:00:00"), "as_of: Input should have timezone info"),
        (told(as_of=date.fromisoformat("2024-01-01")), "as_of: a time with its offset was expected"),
        (told(as_of=datetime.fromisoformat("2024-01-01T00:00:00")), "as_of: Input should have timezone info"),
        (told(reason=None), "needs columns.reason, a reason for all rows, such as 'history', or one in every kind"),
        (told(reason="a b"), "reason: String should match pattern"),
        (told(columns=with_columns(reason="why")), "set either columns.reason, or reason for all rows"),
        (told(columns=with_columns(kind="kind")), "columns.kind and the table kinds need each other"),
        (told(kinds={"BET": {}}), "columns.kind and the table kinds need each other"),
        (
            told(columns=with_columns(kind="kind"), kinds={"BET": {"sign": "debit"}}),
            "the signs in kinds are read only with sign = 'by_kind'",
        ),
        (told(sign="by_kind"), "sign = 'by_kind' needs columns.amount, columns.kind, and a sign in every one of kinds"),
        (told(**BY_KIND, kinds={"BET": {"sign": "debit"}, "WIN": {}}), "a sign in every one of kinds"),
        (
            told(
                sign="by_kind", kinds={"A": {"sign": "debit"}},
                columns=with_columns(amount=None, credit="c", debit="d", kind="k"),
            ),
            "sign = 'by_kind' needs columns.amount",
        ),
        (told(**BY_KIND, kinds={"BET": {"sign": "out"}}), "kinds.BET.sign: Input should be 'credit', 'debit' or"),
        (told(**BY_KIND, kinds={"GIFT": {"sign": "transfer"}}), "a kind whose sign is transfer needs columns.to_owner"),
        (told(**BY_KIND, kinds={"BET": {"sign": "debit", "reason": "a b"}}), "kinds.BET.reason: String should match"),
        (told(reason=None, **BY_KIND, kinds={"BET": {"sign": "debit"}}), "or one in every kind"),
    ],
)  # fmt: skip
def test_a_mapping_that_leaves_something_open_is_refused(mapping: dict[str, Any], sentence: str) -> None:
    assert sentence in refused(mapping)
    assert refused(mapping).startswith(("the mapping", "as_of is for opening balances"))


def test_opening_balances_go_to_nobody_else() -> None:
    assert "cannot have columns.to_owner" in refused(
        told(columns=with_columns(to_owner="to")), "opening_balances"
    )


def test_opening_balances_need_no_id_and_no_reason() -> None:
    mapping = legacy_mapping({"unit": "minor", "columns": with_columns(id=None)}, "opening_balances")
    assert mapping.needed == ("owner", "amount", "currency", "at")


def test_what_is_told_is_the_same_after_a_while_in_json() -> None:
    mapping = legacy_mapping(
        {
            "unit": "major", "as_of": "2024-01-01T03:00:00+03:00", "encoding": "latin-1",
            "columns": with_columns(id=None, occurred_at=None), "timezone": "Europe/Istanbul",
        },
        "opening_balances",
    )  # fmt: skip
    stored = mapping.model_dump(mode="json", exclude_none=True)
    assert legacy_mapping(stored, "opening_balances") == mapping
    assert (stored["encoding"], mapping.moment) == (
        "iso8859-1",
        datetime.fromisoformat("2024-01-01T00:00:00Z"),
    )


@pytest.mark.parametrize("encoding", sorted(ENCODINGS - {"utf-8", "ascii"}))
def test_in_every_encoding_each_byte_is_by_itself(encoding: str) -> None:
    """So that a byte which looks like a line's end, a quote or a delimiter is one."""
    assert bytes(range(128)).decode(encoding) == bytes(range(128)).decode("ascii")
    for byte in range(128, 256):
        for ascii_ in b'\n\r",;\t|':
            alone = bytes([byte]).decode(encoding, "replace")
            assert bytes([byte, ascii_]).decode(encoding, "replace") == alone + chr(ascii_)
