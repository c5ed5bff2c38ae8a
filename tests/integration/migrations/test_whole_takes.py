"""0013: what nights were told before there were takes is kept, whole or not, and goes back to the nights."""

from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, text

RUNS = text("""
    INSERT INTO reconciliation_runs (tenant, provider, business_date, state, due_at, finished_at, last_error, records)
    VALUES ('acme', 'sandbox', '2026-03-12', 'done', now(), now(), NULL, 1),
        ('acme', 'sandbox', '2026-03-13', 'failed', now(), now(), 'no answer', 1),
        ('acme', 'sandbox', '2026-03-14', 'pending', now(), NULL, NULL, 0)
""")
RECORD = """
    INSERT INTO provider_records ({column}, record_id, tenant, provider, kind, amount_minor, currency, fee_minor,
        fee_currency, status, occurred_at)
    VALUES (:number, :record, 'acme', 'sandbox', 'deposit', 1, 'EUR', 0, 'EUR', 'settled', now())
"""
NEXT_TAKE = text("""
    UPDATE reconciliation_runs SET taking_id = nextval('reconciliation_takes') WHERE id = 1 RETURNING taking_id
""")


def test_records_stay_with_their_nights(config: Config, empty_database_url: str) -> None:
    engine = create_engine(empty_database_url)
    try:
        command.upgrade(config, "0012")
        with engine.begin() as connection:
            connection.execute(RUNS)
        tell(engine, "run_id", 1, "whole")
        tell(engine, "run_id", 2, "half")
        command.upgrade(config, "0013")
        runs = rows(engine, "SELECT id, take_id, taking_id FROM reconciliation_runs ORDER BY 1")
        assert runs == [(1, 1, None), (2, None, 2), (3, None, None)]
        with engine.begin() as connection:
            again = connection.execute(NEXT_TAKE).scalar_one()
        assert again == 4
        tell(engine, "take_id", again, "half of another")
        command.downgrade(config, "0012")
        assert rows(engine, "SELECT run_id, record_id FROM provider_records ORDER BY 1") == [
            (1, "whole"), (2, "half"),
        ]  # fmt: skip
    finally:
        engine.dispose()


def tell(engine: Engine, column: str, number: int, record: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(RECORD.format(column=column)), {"number": number, "record": record})


def rows(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]
