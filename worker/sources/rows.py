"""One record's cells as a row of the asked kind, by the mapping. Compiled once, since it runs millions of times."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from worker.files.errors import Refused
from worker.files.ids import NO_EQUAL_ROWS, EqualRows, IdMaker, id_maker
from worker.files.layout import debit_rule
from worker.files.times import together
from worker.sources import cells
from worker.sources.mapping import LegacyMapping
from worker.sources.port import OpeningRow, PostingRow, Row, RowKind, opening_id

Cells = Sequence[str]
RowMaker = Callable[[Cells, str, int | None, str], Row]
"""(cells, place, line, raw) -> row. Raises Refused."""
IdReader = Callable[[Cells, int | None], str | None]
"""(cells, line) -> the id of a row that cannot be made; None where that cannot be read either."""


def row_maker(
    mapping: LegacyMapping, kind: RowKind, at: Mapping[str, int], equal: EqualRows = NO_EQUAL_ROWS
) -> RowMaker:
    """Rows from cells; `at` says where each column that the mapping needs stands among them. `equal`: see EqualRows."""
    return _openings(mapping, at) if kind == "opening_balances" else _postings(mapping, at, equal)


def id_reader(
    mapping: LegacyMapping, kind: RowKind, at: Mapping[str, int], equal: EqualRows = NO_EQUAL_ROWS
) -> IdReader:
    """Ids from cells that make no row; `at` as in `row_maker`."""
    read = _opening_id(mapping, at) if kind == "opening_balances" else _posting_id(mapping, at, equal)

    def known_id(found: Cells, line: int | None) -> str | None:
        try:
            return read(found, line)
        except Refused:
            return None

    return known_id


def _posting_id(mapping: LegacyMapping, at: Mapping[str, int], equal: EqualRows) -> IdMaker:
    return id_maker(mapping.columns.id or (), mapping.digest_of, at, equal, cells.row_id)


def _opening_id(mapping: LegacyMapping, at: Mapping[str, int]) -> IdMaker:
    column, currency = mapping.columns.owner, _currency(mapping, at)
    here = at[column]
    return lambda found, _line: opening_id(cells.owner(found[here], column), currency(found))


def _postings(mapping: LegacyMapping, at: Mapping[str, int], equal: EqualRows) -> RowMaker:
    owner_column = mapping.columns.owner
    owner_at, id_of = at[owner_column], _posting_id(mapping, at, equal)
    signed, occurred_at = _signed_money(mapping, at), _time(mapping, at)
    other, reason = _other(mapping, at), _reason(mapping, at)

    def row(found: Cells, place: str, line: int | None, raw: str) -> PostingRow:
        row_id = id_of(found, line)
        owner = cells.owner(found[owner_at], owner_column)
        amount, currency = signed(found)
        if amount == 0:
            raise Refused("zero_amount", "the amount is 0: nothing moved")
        to_owner = other(found, owner, amount) if other else None
        why = reason(found)
        return PostingRow(
            place, line, row_id, owner, to_owner, amount, currency, why, occurred_at(found), raw
        )

    return row


def _openings(mapping: LegacyMapping, at: Mapping[str, int]) -> RowMaker:
    owner_column = mapping.columns.owner
    owner_at = at[owner_column]
    signed, moment = _signed_money(mapping, at), _time(mapping, at)

    def row(found: Cells, place: str, line: int | None, raw: str) -> OpeningRow:
        owner = cells.owner(found[owner_at], owner_column)
        amount, currency = signed(found)
        return OpeningRow(place, line, owner, amount, currency, moment(found), raw)

    return row


def _time(mapping: LegacyMapping, at: Mapping[str, int]) -> Callable[[Cells], datetime]:
    if (moment := mapping.moment) is not None:
        return lambda _found: moment
    columns, read = mapping.columns.occurred_at or (), cells.time_reader(mapping)
    name = f"the time, {' '.join(columns)},"
    if len(columns) == 1:
        here = at[columns[0]]
        return lambda found: read(found[here], name)
    places = [at[column] for column in columns]
    return lambda found: read(together([found[here] for here in places]), name)


def _signed_money(mapping: LegacyMapping, at: Mapping[str, int]) -> Callable[[Cells], tuple[int, str]]:
    amount, currency = _amount(mapping, at), _currency(mapping, at)
    if mapping.sign == "signed":

        def as_it_stands(found: Cells) -> tuple[int, str]:
            code = currency(found)
            return amount(found, code), code

        return as_it_stands
    kind = _kind_reader(mapping, at, lambda told: told.sign)

    def by_kind(found: Cells) -> tuple[int, str]:
        code, sign = currency(found), kind(found)
        if (minor := amount(found, code)) < 0:
            raise Refused("negative_amount", "the amount has a minus, though its kind was to say the sign")
        return -minor if sign == "debit" else minor, code

    return by_kind


def _currency(mapping: LegacyMapping, at: Mapping[str, int]) -> Callable[[Cells], str]:
    if (always := mapping.currency) is not None:
        return lambda _found: always
    column = mapping.columns.currency or ""
    here = at[column]

    return lambda found: cells.currency(found[here], column)


def _amount(mapping: LegacyMapping, at: Mapping[str, int]) -> Callable[[Cells, str], int]:
    columns, read = mapping.columns, cells.money_reader(mapping)
    if columns.amount is not None:
        here, name = at[columns.amount], f"the amount, {columns.amount},"
        return lambda found, code: read(found[here], code, name)
    credit, debit = columns.credit or "", columns.debit or ""
    credit_at, debit_at = at[credit], at[debit]

    def difference(found: Cells, code: str) -> int:
        in_, out = found[credit_at], found[debit_at]
        if not in_ and not out:
            raise Refused("no_amount", f"{credit} and {debit} are both empty")
        plus = read(in_, code, f"the credit, {credit},") if in_ else 0
        minus = read(out, code, f"the debit, {debit},") if out else 0
        minus = minus if mapping.debit_sign == "plus" else -minus
        if plus < 0 or minus < 0:
            raise Refused("negative_amount", f"{credit} or {debit} has the wrong sign: {debit_rule(mapping)}")
        if plus and minus:
            raise Refused("two_amounts", f"of {credit} and {debit} one must be empty or 0")
        return plus - minus

    return difference


def _kind_reader(
    mapping: LegacyMapping, at: Mapping[str, int], pick: Callable[[Any], Any]
) -> Callable[[Cells], Any]:
    """What `kinds` says for the row's word. Raises Refused for one that it does not know."""
    column = mapping.columns.kind or ""
    here, known = at[column], {word: pick(told) for word, told in mapping.kinds.items() if word != "*"}
    others, has_others = (pick(mapping.kinds["*"]), True) if "*" in mapping.kinds else (None, False)

    def told(found: Cells) -> Any:
        word = found[here]
        if word in known:
            return known[word]
        if not has_others:
            raise Refused(
                "unknown_kind", f'the kind, {column}, is not one of [kinds]; "*" there stands for all others'
            )
        return others

    return told


def _reason(mapping: LegacyMapping, at: Mapping[str, int]) -> Callable[[Cells], str]:
    column, always = mapping.columns.reason, mapping.reason
    told = _kind_reader(mapping, at, lambda kind: kind.reason) if mapping.kinds else None

    def reason(found: Cells) -> str:
        if told is not None and (own := told(found)) is not None:
            return str(own)
        return cells.reason(found[at[column]], column) if column is not None else always or ""

    return reason if told is not None or column is not None else (lambda _found: always or "")


def _other(mapping: LegacyMapping, at: Mapping[str, int]) -> Callable[[Cells, str, int], str | None] | None:
    """The owner that a transfer goes to."""
    if (column := mapping.columns.to_owner) is None:
        return None
    here = at[column]
    sign = _kind_reader(mapping, at, lambda kind: kind.sign) if mapping.sign == "by_kind" else None

    def other(found: Cells, owner: str, amount: int) -> str | None:
        value = found[here]
        if sign is not None and (sign(found) == "transfer") != bool(value):
            why = "is filled, and the kind is no transfer" if value else "is empty, and a transfer needs it"
            raise Refused("not_its_kind", f"{column} {why}")
        if not value:
            return None
        if amount < 0:
            raise Refused(
                "negative_amount", "a transfer with a minus: who gives and who gets is said by the columns"
            )
        if value == owner:
            raise Refused("same_owner", f"a transfer from an owner to themselves: {column} is the owner")
        return cells.owner(value, column)

    return other
