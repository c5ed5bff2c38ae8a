"""A query on an older PostgreSQL as a source: keyset pages, each in a read-only transaction of its own.

    cursor = {"key": the last row's key, as text}

Every value comes as PostgreSQL writes it, so amounts are exact; columns that are floats are refused. The key must be
unique and never NULL: a key that is there twice could be cut in two by a page, and its second row would be lost.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import LiteralString

import psycopg
from psycopg import Connection, errors, sql
from psycopg.conninfo import make_conninfo
from psycopg.pq.abc import PGresult

from worker.sources.configured import BackfillSettings
from worker.sources.mapping import LegacyMapping
from worker.sources.port import Cursor, Extent, Page, RowKind, SourceFailed
from worker.sources.sql_rows import SqlColumns, text_of

CONNECT_SECONDS = 10
LOOSE_COLLATIONS_SINCE = 12_00_00
"""The first PostgreSQL that has them."""
KEY_LENGTH_MAX = 1000

_FROM = """FROM (
{query}
) AS legacy"""
_SETTINGS = "SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL statement_timeout = {milliseconds}"

# Each has a parameter, so that it goes by the extended protocol, which takes one statement and no more.
_FIRST_PAGE: LiteralString = f"SELECT * {_FROM} ORDER BY legacy.{{key}} LIMIT $1"
_PAGE: LiteralString = (
    f"SELECT * {_FROM} WHERE legacy.{{key}} > $2::{{type}} ORDER BY legacy.{{key}} LIMIT $1"
)
_SHAPE: LiteralString = f"SELECT * {_FROM} LIMIT $1"
_NULL_KEY: LiteralString = f"SELECT 1 {_FROM} WHERE legacy.{{key}} IS NULL LIMIT $1"
_TWICE: LiteralString = f"SELECT 1 {_FROM} GROUP BY legacy.{{key}} HAVING count(*) > 1 LIMIT $1"
_COUNT: LiteralString = f"SELECT count(*) {_FROM} LIMIT $1"
_LOOSE_COLLATION: LiteralString = """
    SELECT 1 FROM pg_collation JOIN pg_namespace ON pg_namespace.oid = collnamespace
    WHERE NOT collisdeterministic AND (SELECT pg_collation_for(legacy.{key}) COLLATE "C" FROM (
{query}
    ) AS legacy LIMIT $1) IN (quote_ident(collname), quote_ident(nspname) || '.' || quote_ident(collname))
"""
"""Where texts can be equal that are not the same, as with case-insensitive ones."""


class SqlSource:
    """Rows of one query. `name` is what the settings call it; nothing that it says quotes the URL or a row."""

    def __init__(self, name: str, told: BackfillSettings, mapping: LegacyMapping, kind: RowKind) -> None:
        if told.url is None or told.query is None or told.key is None:
            raise SourceFailed(f"{name}: set url, query and key")
        self.name = name
        self._url = _conninfo(told.url.get_secret_value(), name)
        self._query = told.query
        self._key = told.key
        self._seconds = told.statement_seconds
        self._mapping = mapping
        self._kind = kind

    def check(self) -> None:
        """Raises SourceFailed: no connection, not one SELECT, columns missing, or of types that are not exact."""
        with self._connected() as connection:
            self._columns(connection)

    def extent(self) -> Extent:
        """Counts, where that ends in time. Raises SourceFailed, also for keys that are NULL or there twice."""
        with self._connected() as connection:
            self._refuse_loose_keys(connection, self._columns(connection))
            try:
                twice = self._asked(connection, _TWICE, 1).ntuples
                counted = int(text_of(self._asked(connection, _COUNT, 1), 0, 0))
            except errors.QueryCanceled:
                return Extent(None, None, None)
        if twice:
            raise self._key_twice()
        return Extent(None, counted, None)

    def page(self, after: Cursor | None, rows_max: int) -> Page:
        """Raises SourceFailed, also for a key that is there twice in it, or cut in two by its end."""
        key = after.get("key") if after else None
        with self._connected() as connection:
            columns = self._columns(connection)
            result = self._records(connection, columns, key, rows_max + 1)
            is_last = result.ntuples <= rows_max
            if key is None or is_last:
                self._refuse_loose_keys(connection, columns)
        keys = self._keys(result, columns)
        rows = [columns.row(result, number, keys[number]) for number in range(min(len(keys), rows_max))]
        reached = keys[len(rows) - 1] if rows else key
        return Page(rows, {"key": reached}, is_last, 0)

    def _records(self, connection: Connection, columns: SqlColumns, key: str | None, limit: int) -> PGresult:
        if key is None:
            return self._asked(connection, _FIRST_PAGE, limit)
        if not isinstance(key, str):
            raise SourceFailed(f"{self.name}: the cursor is not one of this query")
        return self._asked(connection, _PAGE, limit, key, type_=columns.key_type)

    def _keys(self, result: PGresult, columns: SqlColumns) -> list[str]:
        try:
            keys = [text_of(result, number, columns.key_at) for number in range(result.ntuples)]
        except UnicodeDecodeError:
            raise SourceFailed(
                f"{self.name}: a key, {self._key}, is not UTF-8: order by another column"
            ) from None
        compared = map(_without_zeros, keys) if columns.key_type == "numeric" else keys
        if any(key == following for key, following in pairwise(compared)):
            raise self._key_twice()
        if max(map(len, keys), default=0) > KEY_LENGTH_MAX:
            raise SourceFailed(f"{self.name}: a key, {self._key}, is longer than {KEY_LENGTH_MAX} characters")
        return keys

    def _refuse_loose_keys(self, connection: Connection, columns: SqlColumns) -> None:
        if self._asked(connection, _NULL_KEY, 1).ntuples:
            raise SourceFailed(
                f"{self.name}: the key, {self._key}, is NULL in some rows, and they would be lost: "
                "order by a column that never is, or leave them out in query"
            )
        may_be_loose = columns.key_type == "text" and connection.info.server_version >= LOOSE_COLLATIONS_SINCE
        if may_be_loose and self._asked(connection, _LOOSE_COLLATION, 1).ntuples:
            raise SourceFailed(
                f"{self.name}: the key, {self._key}, has a collation in which different texts are equal: "
                f'give it another in query, {self._key} COLLATE "C"'
            )

    def _key_twice(self) -> SourceFailed:
        return SourceFailed(
            f"{self.name}: the key, {self._key}, is there twice, and rows would be lost between two pages: "
            "order by a column that is unique"
        )

    def _columns(self, connection: Connection) -> SqlColumns:
        shape = self._asked(connection, _SHAPE, 0)
        return SqlColumns(shape, self._key, self._mapping, self._kind, self.name)

    def _asked(
        self, connection: Connection, statement: LiteralString, limit: int, *more: str, type_: str = "text"
    ) -> PGresult:
        # The query is the operator's own, from the settings; it is not made of anything else.
        composed = sql.SQL(statement).format(
            query=sql.SQL(self._query),
            key=sql.Identifier(self._key),
            type=sql.SQL(type_),
        )
        with psycopg.RawCursor(connection) as cursor:
            cursor.execute(composed, [limit, *more])
            if (result := cursor.pgresult) is None:
                raise SourceFailed(f"{self.name}: query gave no rows: it must be one SELECT")
            return result

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        try:
            with psycopg.connect(self._url, prepare_threshold=None) as connection:
                connection.read_only = True
                connection.execute(sql.SQL(_SETTINGS).format(milliseconds=sql.Literal(self._seconds * 1000)))
                yield connection
        except errors.QueryCanceled:
            raise SourceFailed(
                f"{self.name}: a page took longer than {self._seconds} s: index the key, {self._key}, "
                "or raise statement_seconds"
            ) from None
        except psycopg.Error as error:
            raise SourceFailed(f"{self.name}: {_said(error)}") from None


def _conninfo(url: str, name: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in {"postgresql", "postgres", "postgresql+psycopg"}:
        raise SourceFailed(f"{name}: what url refers to must start with postgresql://")
    try:
        return make_conninfo(f"postgresql://{rest}", connect_timeout=CONNECT_SECONDS, client_encoding="utf8")
    except psycopg.Error:
        raise SourceFailed(f"{name}: what url refers to is not a URL of PostgreSQL") from None


def _without_zeros(number: str) -> str:
    return number.rstrip("0").rstrip(".") if "." in number else number


def _said(error: psycopg.Error) -> str:
    """PostgreSQL's words where they are about the query; else only its code, since others may quote a row."""
    if error.sqlstate is None:
        return "the older database cannot be reached"
    if error.sqlstate.startswith("42"):
        return f"the older database refuses query or key: {error.diag.message_primary} ({error.sqlstate})"
    return f"the older database failed ({type(error).__name__}, {error.sqlstate})"
