"""What makes a row of cells: signs, kinds, reasons and transfers, as the mapping says."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.backfills.sources.legacy import everything, source, told, with_columns, written
from worker.sources.port import BadRow, PostingRow

TAIL = "EUR,2024-01-01T00:00:00Z"


def outcome(folder: Path, header: str, row: str, mapping: dict[str, Any]) -> Any:
    content = f"id,owner,currency,at,{header}\n1,p1,{TAIL},{row}\n"
    (found,) = everything(source(written(folder, content.encode()), mapping))
    if isinstance(found, BadRow):
        return found.code
    assert isinstance(found, PostingRow)
    return (found.amount_minor, found.to_owner, found.reason)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ("5,", (500, None, "history")), (",5", (-500, None, "history")), ("5,0", (500, None, "history")),
        ("0.00,5", (-500, None, "history")), (",", "no_amount"), ("0,0", "zero_amount"), ("0,", "zero_amount"),
        ("5,5", "two_amounts"), ("-5,", "negative_amount"), (",-5", "negative_amount"), ("x,5", "bad_amount"),
        ("5,x", "bad_amount"),
    ],
)  # fmt: skip
def test_credit_and_debit_say_the_sign(tmp_path: Path, cells: str, expected: Any) -> None:
    mapping = told(columns=with_columns(amount=None, credit="in", debit="out"))
    assert outcome(tmp_path, "in,out", cells, mapping) == expected


KINDS = {
    "WIN": {"sign": "credit", "reason": "win"}, "BET": {"sign": "debit"}, "GIFT": {"sign": "transfer"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ("5,WIN,", (500, None, "win")), ("5,BET,", (-500, None, "history")), ("5,GIFT,p2", (500, "p2", "history")),
        ("5,GIFT,", "not_its_kind"), ("5,WIN,p2", "not_its_kind"), ("-5,WIN,", "negative_amount"),
        ("-5,BET,", "negative_amount"), ("0,BET,", "zero_amount"), ("5,win,", "unknown_kind"), ("5,,", "unknown_kind"),
        ("5,GIFT,p1", "same_owner"), ("5,GIFT,p 2", "bad_owner"), ("5,*,", "unknown_kind"),
    ],
)  # fmt: skip
def test_kinds_say_the_sign(tmp_path: Path, cells: str, expected: Any) -> None:
    columns = with_columns(kind="kind", to_owner="to")
    assert (
        outcome(tmp_path, "amount,kind,to", cells, told(sign="by_kind", columns=columns, kinds=KINDS))
        == expected
    )


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ("5,GIFT,", "to is empty, and a transfer needs it"),
        ("5,WIN,p2", "to is filled, and the kind is no transfer"),
    ],
)
def test_it_is_said_what_does_not_fit_the_kind(tmp_path: Path, cells: str, words: str) -> None:
    content = f"id,owner,currency,at,amount,kind,to\n1,p1,{TAIL},{cells}\n"
    mapping = told(sign="by_kind", columns=with_columns(kind="kind", to_owner="to"), kinds=KINDS)
    (found,) = everything(source(written(tmp_path, content.encode()), mapping))
    assert isinstance(found, BadRow)
    assert found.reason == words


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("BET", (500, None, "bet")), ("WIN", (500, None, "other")), ("", (500, None, "other")),
        ("*", (500, None, "other")),
    ],
)  # fmt: skip
def test_a_star_stands_for_every_other_kind(tmp_path: Path, kind: str, expected: Any) -> None:
    kinds = {"BET": {"reason": "bet"}, "*": {"reason": "other"}}
    mapping = told(columns=with_columns(kind="kind"), kinds=kinds, reason=None)
    assert outcome(tmp_path, "amount,kind", f"5,{kind}", mapping) == expected


@pytest.mark.parametrize(
    ("cells", "expected"),
    [("5,bonus", (500, None, "bonus")), ("5,", "no_reason"), ("5,a b", "bad_reason"), ("5,\u00e9", "bad_reason")],
)  # fmt: skip
def test_reasons_may_stand_in_the_row(tmp_path: Path, cells: str, expected: Any) -> None:
    mapping = told(columns=with_columns(reason="why"), reason=None)
    assert outcome(tmp_path, "amount,why", cells, mapping) == expected


def test_one_column_may_say_two_things(tmp_path: Path) -> None:
    mapping = told(columns=with_columns(kind="what", reason="what"), kinds={"*": {}}, reason=None)
    assert outcome(tmp_path, "amount,what", "5,bonus", mapping) == (500, None, "bonus")
