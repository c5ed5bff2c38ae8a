"""A query on an older PostgreSQL: its values exactly, and nothing is changed there."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, LiteralString

import pytest
from psycopg.sql import SQL, Identifier

from tests.integration.backfills.sources.older import Legacy, Made, fill
from tests.unit.backfills.sources.legacy import (
    bad,
    everything,
    opening,
    posting,
    source,
    told,
    with_columns,
    written,
)
from worker.files.cells import Number
from worker.sources.port import SourceFailed


def test_a_row_says_exactly_what_the_table_says(legacy: Legacy, made: Made) -> None:
    legacy.execute(
        "INSERT INTO moves (id, owner, amount, currency, at) VALUES (7, 'p1', -12.5, 'EUR', '2024-06-01 12:00+03')"
    )
    (row,) = map(posting, everything(made()))
    assert (row.place, row.line, row.row_id, row.owner) == ("7", None, "7", "p1")
    assert (row.amount_minor, row.currency, row.reason) == (-1250, "EUR", "history")
    assert row.occurred_at == datetime(2024, 6, 1, 9, tzinfo=UTC)
    assert json.loads(row.raw, parse_float=Number) == {
        "id": "7", "owner": "p1", "amount": Number("-12.50000000"), "currency": "EUR", "at": "2024-06-01 09:00:00+00",
    }  # fmt: skip
    assert '"amount": -12.50000000,' in row.raw
    assert type(row.row_id) is type(row.owner) is type(row.currency) is str


@pytest.mark.parametrize(
    ("amount", "currency", "unit", "expected"),
    [
        ("92233720368547758.07", "EUR", "major", 2**63 - 1), ("0.01", "EUR", "major", 1), ("1", "JPY", "major", 1),
        ("0.1", "BHD", "major", 100), ("150", "EUR", "minor", 150), ("150.000", "EUR", "minor", "bad_amount"),
        ("92233720368547758.08", "EUR", "major", "bad_amount"), ("0.001", "EUR", "major", "bad_amount"),
        ("0.5", "JPY", "major", "bad_amount"), ("1.5", "EUR", "minor", "bad_amount"),
        ("NaN", "EUR", "major", "bad_amount"), ("Infinity", "EUR", "major", "bad_amount"),
        (None, "EUR", "major", "no_amount"), ("0", "EUR", "major", "zero_amount"), ("1", None, "major", "no_currency"),
    ],
)  # fmt: skip
def test_decimals_are_exact_or_refused(
    legacy: Legacy, made: Made, amount: str | None, currency: str | None, unit: str, expected: Any
) -> None:
    legacy.execute(
        "INSERT INTO moves (id, owner, exact, currency, at) VALUES (1, 'p1', %s, %s, now())",
        [amount, currency],
    )
    (row,) = everything(made(unit=unit, columns=with_columns(amount="exact")))
    assert (posting(row).amount_minor if isinstance(expected, int) else bad(row).code) == expected


def test_numbers_in_the_database_are_not_read_by_the_marks_of_texts(legacy: Legacy, made: Made) -> None:
    legacy.execute(
        "INSERT INTO moves (id, owner, exact, label, currency, at) VALUES (1, 'p', 1.5, '1.500,25', 'EUR', now())"
    )
    marks: dict[str, Any] = {"decimal_mark": ",", "thousands_separator": "."}
    (number,) = everything(made(**marks, columns=with_columns(amount="exact")))
    (text,) = everything(made(**marks, columns=with_columns(amount="label")))
    assert (posting(number).amount_minor, posting(text).amount_minor) == (150, 150_025)


@pytest.mark.parametrize(
    ("amount", "value"),
    [
        ("exact", "150"),
        ("exact", "-0.5"),
        ("exact", "1.500"),
        ("exact", "12.34"),
        ("amount", "12.5"),
        ("small", "7"),
    ],
)
@pytest.mark.parametrize("marks", [{}, {"decimal_mark": ",", "thousands_separator": "."}])
def test_a_row_that_was_set_aside_means_the_same_when_it_is_fed_again(
    legacy: Legacy, made: Made, tmp_path: Path, amount: str, value: LiteralString, marks: dict[str, Any]
) -> None:
    legacy.execute(
        SQL(
            "INSERT INTO moves (id, owner, {}, currency, at) VALUES (9, 'p \u00e7 1', {}, 'EUR', now())"
        ).format(Identifier(amount), SQL(value))
    )
    columns = with_columns(amount=amount)
    (aside,) = map(bad, everything(made(**marks, columns=columns)))
    corrected = aside.raw.replace("p \u00e7 1", "p1")
    legacy.execute("UPDATE moves SET owner = 'p1'")
    (there,) = map(posting, everything(made(**marks, columns=columns)))
    again = source(written(tmp_path, corrected.encode()), told(**marks, columns=columns), format_="jsonl")
    (fed,) = map(posting, everything(again))
    assert (fed.row_id, fed.amount_minor, fed.occurred_at) == (
        there.row_id,
        there.amount_minor,
        there.occurred_at,
    )


@pytest.mark.parametrize("amount", ["NaN", "Infinity", None])
def test_what_is_no_number_is_kept_as_a_text(legacy: Legacy, made: Made, amount: str | None) -> None:
    legacy.execute(
        "INSERT INTO moves (id, owner, exact, currency, at) VALUES (1, 'p1', %s, 'EUR', now())", [amount]
    )
    (row,) = everything(made(columns=with_columns(amount="exact")))
    assert json.loads(bad(row).raw)["exact"] == (amount or "")


@pytest.mark.parametrize(
    ("column", "zone", "expected"),
    [
        ("at", None, "2024-06-01T09:00:00+00:00"), ("local_at", "Europe/Istanbul", "2024-06-01T09:00:00+00:00"),
        ("day", "Europe/Istanbul", "2024-05-31T21:00:00+00:00"), ("local_at", None, "no_zone"),
        ("day", None, "no_zone"),
    ],
)  # fmt: skip
def test_times_without_a_zone_are_in_the_mappings(
    legacy: Legacy, made: Made, column: str, zone: str | None, expected: str
) -> None:
    legacy.execute(f"ALTER DATABASE {legacy.info.dbname} SET DateStyle = 'SQL, DMY'")
    legacy.execute(f"ALTER DATABASE {legacy.info.dbname} SET TimeZone = 'Asia/Tokyo'")
    legacy.execute(
        "INSERT INTO moves (id, owner, amount, currency, at, local_at, day) "
        "VALUES (1, 'p1', 1, 'EUR', '2024-06-01T12:00:00+03', '2024-06-01T12:00:00', '2024-06-01')"
    )
    (row,) = everything(made(timezone=zone, columns=with_columns(occurred_at=column), time_format="epoch"))
    assert column != "at" or json.loads(row.raw)["at"] == "2024-06-01 09:00:00+00"
    assert (bad(row).code if expected == "no_zone" else posting(row).occurred_at.isoformat()) == expected


@pytest.mark.parametrize("at", ["infinity", "-infinity", "0044-03-15 BC", "20000-01-01"])
def test_times_that_no_calendar_of_ours_has_are_refused(legacy: Legacy, made: Made, at: str) -> None:
    legacy.execute("INSERT INTO moves (id, owner, amount, currency, at) VALUES (1, 'p1', 1, 'EUR', %s)", [at])
    (row,) = everything(made())
    assert (bad(row).code, bad(row).row_id) == ("bad_time", "1")


@pytest.mark.parametrize("column", ["price", "cash"])
def test_amounts_that_are_not_exact_are_refused(legacy: Legacy, made: Made, column: str) -> None:
    found = made(columns=with_columns(amount=column))
    for asked in (found.check, found.extent, lambda: found.page(None, 5)):
        with pytest.raises(SourceFailed, match=rf"wallet: {column} is a float or of the type money"):
            asked()
    legacy.execute("INSERT INTO moves (id, owner, price, currency, at) VALUES (1, 'p1', 0.1, 'EUR', now())")
    rounded = made("SELECT id, owner, round(price::numeric, 2) AS amount, currency, at FROM moves")
    assert [posting(row).amount_minor for row in everything(rounded)] == [10]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("SELECT id, owner FROM moves", "query gives amount 0 times; it must be there once"),
        ("SELECT *, owner FROM moves", "query gives owner 2 times"),
        ("SELECT * FROM nothing", 'relation "nothing" does not exist (42P01)'),
        ("SELEC", "refuses query or key: syntax error"),
        ("DELETE FROM moves RETURNING *", "refuses query or key: syntax error"),
        (
            "SELECT * FROM moves) AS x; DELETE FROM moves; SELECT * FROM (SELECT * FROM moves",
            "refuses query or key",
        ),
        ("SELECT *, $9::int FROM moves", "refuses query or key"),
        ("VALUES (1)", "query gives id 0 times"),
    ],
)
def test_a_query_that_is_not_one_select_is_refused(
    legacy: Legacy, made: Made, query: str, sentence: str
) -> None:
    fill(legacy, 1)
    with pytest.raises(SourceFailed) as raised:
        made(query).check()
    assert sentence in str(raised.value)
    assert legacy.execute("SELECT count(*) FROM moves").fetchone() == (1,)


def test_nothing_can_be_written_there(legacy: Legacy, made: Made) -> None:
    fill(legacy, 1)
    legacy.execute(
        "CREATE FUNCTION wipe() RETURNS bigint LANGUAGE sql VOLATILE AS 'DELETE FROM moves RETURNING id'"
    )
    found = made("SELECT wipe() AS id, owner, amount, currency, at FROM moves")
    with pytest.raises(SourceFailed, match=r"the older database failed \(ReadOnlySqlTransaction, 25006\)"):
        found.page(None, 5)
    assert legacy.execute("SELECT count(*) FROM moves").fetchone() == (1,)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM moves -- with a remark", "SELECT * FROM moves WHERE label LIKE '%1%' OR label LIKE 'l%'",
        "WITH few AS (SELECT * FROM moves) SELECT * FROM few", "SELECT * FROM moves ORDER BY id DESC",
        "SELECT * FROM moves WHERE label <> '{key} %s $$'",
    ],
)  # fmt: skip
def test_a_query_may_be_any_select(legacy: Legacy, made: Made, query: str) -> None:
    fill(legacy, 5)
    assert [posting(row).row_id for row in everything(made(query), 2)] == ["1", "2", "3", "4", "5"]


def test_a_page_that_takes_too_long_is_given_up(legacy: Legacy, made: Made) -> None:
    fill(legacy, 3)
    slow = made("SELECT *, pg_sleep(5) FROM moves", seconds=1)
    with pytest.raises(
        SourceFailed, match="took longer than 1 s: index the key, id, or raise statement_seconds"
    ):
        slow.page(None, 5)


def test_what_cannot_be_counted_in_time_is_not_known(legacy: Legacy, made: Made) -> None:
    fill(legacy, 3)
    assert made().extent().rows_total == 3
    slow = "SELECT * FROM moves, LATERAL (SELECT pg_sleep(5) WHERE moves.id = 2) AS slow(pause)"
    assert made(f"{slow} WHERE id IS NOT NULL", seconds=1).extent().rows_total is None


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://reader:hunter2@127.0.0.1:1/old", "mysql://reader:hunter2@127.0.0.1/old",
        "postgresql://reader:hunter2@127.0.0.1:x/old", "hunter2",
    ],
)  # fmt: skip
def test_a_database_that_cannot_be_reached_is_said_without_its_password(made: Made, url: str) -> None:
    with pytest.raises(SourceFailed) as raised:
        made(url=url).check()
    assert "hunter2" not in str(raised.value)
    assert str(raised.value).startswith("wallet: ")


def test_an_error_does_not_quote_a_row(legacy: Legacy, made: Made) -> None:
    fill(legacy, 1)
    legacy.execute("UPDATE moves SET label = 'secret-of-a-person'")
    with pytest.raises(SourceFailed) as raised:
        made("SELECT *, label::int AS number FROM moves").page(None, 5)
    assert "secret-of-a-person" not in str(raised.value)


def test_balances_come_from_a_query_too(legacy: Legacy, made: Made) -> None:
    fill(legacy, 9)
    found = made(
        "SELECT owner, sum(amount) AS amount, 'EUR' AS currency FROM moves GROUP BY owner", "owner",
        kind="opening_balances", columns=with_columns(id=None, occurred_at=None), as_of="2024-01-01T00:00:00Z",
    )  # fmt: skip
    rows = [opening(row) for row in everything(found, 2)]
    assert [(row.owner, row.amount_minor, row.place) for row in rows] == [
        ("p0", 2250, "p0"), ("p1", 1500, "p1"), ("p2", 1875, "p2"),
    ]  # fmt: skip
