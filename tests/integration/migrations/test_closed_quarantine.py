"""0012: rows that were set aside stay as they stood, may be closed from now on, and are open for the code before."""

from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, text

ASIDE = text("""
    INSERT INTO backfill_quarantine (backfill_id, place, row_id, raw, code, reason, state, fields, at)
    SELECT '00000000-0000-0000-0000-000000000007', state, 'h-1', 'h-1,ada', 'zero_amount', 'it is 0', state, '{}', now()
    FROM unnest(ARRAY['open', 'waiting', 'posted']) AS s (state)
""")
CLOSE = text("""
    UPDATE backfill_quarantine SET state = 'corrected', closed_at = now(), closed_by = 'backfill:8' WHERE place = 'open'
""")
DISMISS = text("""
    UPDATE backfill_quarantine SET state = 'dismissed', closed_at = now(), closed_by = 'ops', closed_reason = 'gone'
    WHERE place = 'posted'
""")


def test_rows_stay_and_are_open_again_on_the_way_back(config: Config, empty_database_url: str) -> None:
    engine = create_engine(empty_database_url)
    try:
        command.upgrade(config, "0011")
        with engine.begin() as connection:
            connection.execute(ASIDE)
        command.upgrade(config, "0012")
        assert states(engine) == {"open": "open", "waiting": "waiting", "posted": "posted"}
        with engine.begin() as connection:
            connection.execute(CLOSE)
            connection.execute(DISMISS)
        command.downgrade(config, "0011")
        assert states(engine) == {"open": "open", "waiting": "waiting", "posted": "open"}
    finally:
        engine.dispose()


def states(engine: Engine) -> dict[Any, Any]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT place, state FROM backfill_quarantine"))
        return {row[0]: row[1] for row in rows}
