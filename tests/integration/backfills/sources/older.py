"""An older system's database: its one table, filled."""

from collections.abc import Callable
from typing import Any

import psycopg

from worker.sources.sql import SqlSource

MOVES = """
    CREATE TABLE moves (
        id bigint PRIMARY KEY, owner text, amount numeric(20, 8), currency text, at timestamptz,
        code uuid, label text, local_at timestamp, day date, price real, cash money, exact numeric, small integer
    )
"""
QUERY = "SELECT * FROM moves"
Legacy = psycopg.Connection[Any]
Made = Callable[..., SqlSource]


def fill(legacy: Legacy, count: int) -> None:
    legacy.execute(
        """
        INSERT INTO moves (id, owner, amount, currency, at, code, label, local_at, day, exact, small)
        SELECT n, 'p' || mod(n, 3), n * 1.25, 'EUR', timestamptz '2024-01-01Z' + n * interval '1 s',
               md5(n::text)::uuid, 'label ' || n, timestamp '2024-01-01' + n * interval '1 s',
               date '2024-01-01' + n, n / 7.0, n
        FROM generate_series(1, %s) AS n
        """,
        [count],
    )
