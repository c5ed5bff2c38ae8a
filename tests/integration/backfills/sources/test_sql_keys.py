"""Pages by a key: every row once, and keys that would lose rows are refused."""

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from tests.integration.backfills.sources.older import Legacy, Made, fill
from tests.unit.backfills.sources.legacy import everything, pages, posting, with_columns
from worker.sources.port import SourceFailed


@pytest.mark.parametrize("key", ["id", "code", "label", "at", "local_at", "day", "exact", "small"])
@pytest.mark.parametrize("rows_max", [1, 4, 10, 100])
def test_every_row_comes_once_in_the_order_of_its_key(
    legacy: Legacy, made: Made, key: str, rows_max: int
) -> None:
    fill(legacy, 20)
    found = pages(made(key=key), rows_max)
    rows = [posting(row) for page in found for row in page.rows]
    assert sorted(int(row.row_id) for row in rows) == list(range(1, 21))
    legacy.execute("SET TimeZone = 'UTC'")
    order = legacy.execute(
        sql.SQL("SELECT {key}::text AS place FROM moves ORDER BY {key}").format(key=sql.Identifier(key))
    )
    assert [row.place for row in rows] == [place for (place,) in order.fetchall()]
    assert all(len(page.rows) == rows_max for page in found[:-1])


def test_another_process_goes_on_from_a_cursor_in_json(legacy: Legacy, made: Made) -> None:
    fill(legacy, 10)
    for key in ("id", "code", "label", "at", "exact"):
        whole, before = everything(made(key=key)), 0
        for page in pages(made(key=key), 3):
            before += len(page.rows)
            assert everything(made(key=key), 2, json.loads(json.dumps(page.after))) == whole[before:]


def test_keys_that_are_null_are_refused(legacy: Legacy, made: Made) -> None:
    fill(legacy, 5)
    legacy.execute("UPDATE moves SET small = NULL WHERE id = 4")
    found = made(key="small")
    for asked in (found.extent, lambda: found.page(None, 2), lambda: found.page({"key": "3"}, 10)):
        with pytest.raises(SourceFailed, match="the key, small, is NULL in some rows"):
            asked()


@pytest.mark.parametrize("rows_max", [1, 2, 3, 10])
@pytest.mark.parametrize("key", ["small", "exact", "label", "code", "local_at"])
def test_keys_that_are_there_twice_are_refused(legacy: Legacy, made: Made, key: str, rows_max: int) -> None:
    fill(legacy, 6)
    again = sql.SQL("UPDATE moves SET {key} = (SELECT {key} FROM moves WHERE id = 3) WHERE id = 4")
    legacy.execute(again.format(key=sql.Identifier(key)))
    with pytest.raises(SourceFailed, match=f"the key, {key}, is there twice"):
        made(key=key).extent()
    with pytest.raises(SourceFailed, match=f"the key, {key}, is there twice"):
        everything(made(key=key), rows_max)


@pytest.mark.parametrize(
    ("one", "other"), [("1.0", "1.000"), ("NaN", "NaN"), ("100", "100.0"), ("0", "-0.00")]
)
def test_numbers_that_are_written_twice_are_one_key(legacy: Legacy, made: Made, one: str, other: str) -> None:
    fill(legacy, 2)
    legacy.execute(
        "UPDATE moves SET exact = CASE id WHEN 1 THEN %s::numeric ELSE %s::numeric END", [one, other]
    )
    with pytest.raises(SourceFailed, match="is there twice"):
        made(key="exact").page(None, 1)


def test_texts_that_are_equal_without_being_the_same_are_no_key(legacy: Legacy, made: Made) -> None:
    legacy.execute("CREATE COLLATION loose (provider = libc, locale = 'C')")
    legacy.execute("ALTER TABLE moves ALTER label TYPE text COLLATE loose")
    fill(legacy, 2)
    legacy.execute("UPDATE moves SET label = CASE id WHEN 1 THEN 'a' ELSE 'A' END")
    assert len(everything(made(key="label"), 1)) == 2
    # As CREATE COLLATION (deterministic = false) does, which needs a PostgreSQL that was built with ICU.
    legacy.execute("UPDATE pg_collation SET collisdeterministic = false WHERE collname = 'loose'")
    with pytest.raises(SourceFailed, match='give it another in query, label COLLATE "C"'):
        made(key="label").page(None, 1)
    query = 'SELECT id, owner, amount, currency, at, label COLLATE "C" AS label FROM moves'
    assert len(everything(made(query, key="label"), 1)) == 2


@pytest.mark.parametrize("key", ["price", "cash", "missing", "ID"])
def test_what_cannot_be_a_key_is_refused(legacy: Legacy, made: Made, key: str) -> None:
    with pytest.raises(SourceFailed, match=rf"the key, {key}, must be|gives {key} 0 times"):
        made(key=key).check()


def test_a_key_may_have_any_name(legacy: Legacy, made: Made) -> None:
    fill(legacy, 3)
    query = 'SELECT id AS "Odd ""Name"" {x} %", owner, amount, currency, at FROM moves'
    name = 'Odd "Name" {x} %'
    assert len(everything(made(query, key=name, columns=with_columns(id=name)), 2)) == 3


def test_an_empty_table_is_an_empty_source(made: Made) -> None:
    (page,) = pages(made(), 5)
    assert (page.rows, page.is_last, made().extent().rows_total) == ([], True, 0)
    assert made().page(page.after, 5).rows == []


def test_rows_that_appear_behind_the_cursor_are_read_next_time(legacy: Legacy, made: Made) -> None:
    fill(legacy, 2)
    (page,) = pages(made(), 5)
    legacy.execute("INSERT INTO moves (id, owner, amount, currency, at) VALUES (9, 'p1', 1, 'EUR', now())")
    assert [posting(row).row_id for row in made().page(page.after, 5).rows] == ["9"]


@pytest.mark.parametrize("cursor", [{"key": 5}, {"key": "not a number"}])
def test_a_cursor_of_something_else_is_refused(legacy: Legacy, made: Made, cursor: dict[str, Any]) -> None:
    with pytest.raises(SourceFailed):
        made().page(cursor, 5)


def test_a_key_that_is_too_long_to_be_a_place_is_refused(legacy: Legacy, made: Made) -> None:
    fill(legacy, 1)
    legacy.execute("UPDATE moves SET label = repeat('x', 1001)")
    with pytest.raises(SourceFailed, match="is longer than 1000 characters"):
        made(key="label").page(None, 5)


@given(keys=st.sets(st.uuids(), max_size=12), rows_max=st.integers(1, 5))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_of_any_size_give_every_key_once(
    legacy: Legacy, made: Made, keys: set[UUID], rows_max: int
) -> None:
    legacy.execute("TRUNCATE moves")
    with legacy.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO moves (id, owner, amount, currency, at, code) VALUES (%s, 'p', 1, 'EUR', now(), %s)",
            list(enumerate(keys)),
        )
    assert [row.place for row in everything(made(key="code"), rows_max)] == sorted(map(str, keys))
