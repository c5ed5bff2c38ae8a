"""What a query's result is: which columns it has, of which types, and its rows as PostgreSQL writes them."""

import json
import re

from psycopg.pq.abc import PGresult

from worker.files.cells import Number, kept
from worker.files.errors import Refused
from worker.files.times import Stamp
from worker.sources.mapping import LegacyMapping
from worker.sources.port import RAW_LENGTH_MAX, BadRow, Row, RowKind, SourceFailed
from worker.sources.rows import id_reader, row_maker

KEY_TYPES = {
    20: "bigint", 21: "smallint", 23: "integer", 25: "text", 1043: "text", 1700: "numeric", 2950: "uuid",
    1082: "date", 1114: "timestamp", 1184: "timestamptz",
}  # fmt: skip
FLOATS = frozenset({700, 701, 790})
"""Types by their OID, which is the same in every PostgreSQL (pg_type.dat). 790 is money, which has a locale."""

_quoted = json.JSONEncoder(ensure_ascii=False).encode

_NUMBERS = frozenset({20, 21, 23, 1700})
_PLAIN = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
"""A number that JSON writes as PostgreSQL does; NaN it has not."""
_STAMPS = frozenset({1082, 1114, 1184})


class SqlColumns:
    """The columns of a result. Raises SourceFailed when it lacks one, or has it as a float."""

    def __init__(self, shape: PGresult, key: str, mapping: LegacyMapping, kind: RowKind, name: str) -> None:
        names = [(shape.fname(number) or b"").decode("utf-8", "replace") for number in range(shape.nfields)]
        for column in (key, *mapping.needed):
            if (times := names.count(column)) != 1:
                raise SourceFailed(f"{name}: query gives {column} {times} times; it must be there once")
        self.key_at = names.index(key)
        self.key_type = _key_type(shape.ftype(self.key_at), key, name)
        if mapping.digest_of:
            raise SourceFailed(f"{name}: digest_of is for files; give the rows of query an id")
        self._picked = [
            (
                column,
                names.index(column),
                _cell_type(shape.ftype(names.index(column)), column in mapping.amounts),
            )
            for column in mapping.needed
        ]
        for column, at, _ in self._picked:
            if shape.ftype(at) in FLOATS:
                raise SourceFailed(
                    f"{name}: {column} is a float or of the type money, and neither is exact: "
                    f"say in query how it is rounded, such as round({column}::numeric, 2) AS {column}"
                )
        order = {column: at for at, column in enumerate(mapping.needed)}
        self._row, self._known_id = row_maker(mapping, kind, order), id_reader(mapping, kind, order)

    def row(self, result: PGresult, number: int, place: str) -> Row | BadRow:
        """The row of that number. `place` is its key."""
        found: dict[str, str] = {}
        try:
            for column, at, made in self._picked:
                found[column] = made(text_of(result, number, at).strip())
            return self._row(list(found.values()), place, None, _raw(found))
        except Refused as refused:
            return self._bad(place, found, refused.code, str(refused))
        except UnicodeDecodeError:
            return self._bad(place, found, "undecodable", "a value of the row is not UTF-8")

    def _bad(self, place: str, found: dict[str, str], code: str, reason: str) -> BadRow:
        """What was not reached of its cells is empty."""
        cells = [found.get(column, "") for column, _, _ in self._picked]
        return BadRow(place, None, _raw(found), code, reason, self._known_id(cells, None))


def text_of(result: PGresult, number: int, at: int) -> str:
    """A value as PostgreSQL writes it; empty where it is NULL. Raises UnicodeDecodeError."""
    return (result.get_value(number, at) or b"").decode("utf-8")


def _key_type(oid: int, key: str, name: str) -> str:
    if oid not in KEY_TYPES:
        kinds = "an integer, numeric, text, uuid, date or timestamp"
        raise SourceFailed(
            f"{name}: the key, {key}, must be {kinds}: cast it in query, or order by another column"
        )
    return KEY_TYPES[oid]


def _cell_type(oid: int, is_amount: bool) -> type[str]:
    if oid in _STAMPS:
        return Stamp
    return Number if is_amount and oid in _NUMBERS else str


def _raw(found: dict[str, str]) -> str:
    """A line of JSON that means the same when it is fed again: an amount by its type is a number there, too."""
    told = (f"{_quoted(column)}: {_told(value)}" for column, value in found.items())
    return kept(f"{{{', '.join(told)}}}")[:RAW_LENGTH_MAX]


def _told(value: str) -> str:
    is_number = type(value) is Number and _PLAIN.fullmatch(value) is not None
    return str(value) if is_number else _quoted(value)
