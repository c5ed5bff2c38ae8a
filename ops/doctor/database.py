"""PostgreSQL: reachable, new enough, migrated, guarded, on time - and what waits in it."""

from collections.abc import Iterator
from datetime import UTC, datetime

from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from ops.doctor.backfills import check_backfills
from ops.doctor.backlog import check_backlog, check_beat
from ops.doctor.findings import Finding, first_line, ok, problem, warning
from ops.doctor.nights import check_nights
from ops.doctor.payouts import check_payouts
from ops.doctor.webhooks import check_webhooks
from worker.database import make_engine
from worker.http.readiness import MIGRATIONS
from worker.settings import Settings

VERSION_MIN = 15
SKEW_SECONDS_WARNING = 2.0
SKEW_SECONDS_MAX = 30.0
STATEMENT_SECONDS = 2

TRIGGERS = frozenset({
    "accounts_keep_identity", "accounts_stay", "audit_events_append_only", "ledger_entries_append_only",
    "ledger_entries_balanced", "ledger_mismatches_append_only", "ledger_transactions_append_only",
    "payout_attempts_kept", "payout_events_append_only", "payout_moves_fixed", "payouts_begin", "payouts_kept",
    "payouts_move", "webhook_deliveries_append_only",
})  # fmt: skip
APPEND_ONLY = ("ledger_entries", "ledger_transactions", "audit_events", "payout_events", "payout_moves")

WHO = text("""
    SELECT current_user AS name, EXISTS (SELECT FROM pg_roles WHERE rolname = :role) AS exists,
        (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS super
""")
MAY_REWRITE = text("""
    SELECT t FROM unnest(CAST(:tables AS text[])) AS t
    WHERE has_any_column_privilege(current_user, t, 'UPDATE')
        OR has_table_privilege(current_user, t, 'DELETE, TRUNCATE')
""")
ENABLED = text("""
    SELECT g.tgname FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
    WHERE c.relnamespace = 'public'::regnamespace AND NOT g.tgisinternal AND g.tgenabled IN ('O', 'A')
""")


def check_database(settings: Settings) -> list[Finding]:
    """Every check of the database, in one connection, as the worker's role."""
    if settings.database_url is None:
        return [problem("database", "LEDGERBEAT_DATABASE_URL is not set, and no 'ledgerbeat up' runs here",
                        "give it a URL such as postgresql+psycopg://user:password@host/ledgerbeat")]  # fmt: skip
    try:
        engine = make_engine(
            settings.database_url,
            role=settings.database_role,
            pool_size=1,
            statement_seconds=STATEMENT_SECONDS,
            prepared_statements=settings.prepared_statements,
        )
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            findings = list(_looks(connection, settings))
        engine.dispose()
    except (SQLAlchemyError, ValueError) as error:
        cause = getattr(error, "orig", None) or error
        return [problem("database", f"cannot be used: {first_line(cause)}",
                        "start PostgreSQL; see host, port, user and password in LEDGERBEAT_DATABASE_URL")]  # fmt: skip
    return findings


def _looks(connection: Connection, settings: Settings) -> Iterator[Finding]:
    yield _version(connection)
    yield _clock(connection)
    role = _role(connection, settings.database_role)
    yield role
    migration = _migration(connection)
    yield migration
    if "problem" in (role.verdict, migration.verdict):
        return  # what follows would be judged as somebody else, or in tables that are not there
    yield _rights(connection)
    yield _triggers(connection)
    yield from _tenants(connection, settings)
    yield from check_beat(connection)
    yield from check_backlog(connection)
    yield from check_webhooks(connection, settings)
    yield from check_payouts(connection, settings)
    yield from check_nights(connection, settings)
    yield from check_backfills(connection)


def _version(connection: Connection) -> Finding:
    number = int(connection.execute(text("SHOW server_version_num")).scalar_one())
    if number // 10000 < VERSION_MIN:
        return problem("database", f"PostgreSQL {number // 10000}", f"upgrade to {VERSION_MIN} or newer")
    return ok("database", f"reachable, PostgreSQL {number // 10000}")


def _clock(connection: Connection) -> Finding:
    before = datetime.now(UTC)
    theirs: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    ours = before + (datetime.now(UTC) - before) / 2
    skew = (theirs - ours).total_seconds()
    return judge_clock(skew)


def judge_clock(skew_seconds: float) -> Finding:
    """The database's clock minus this machine's."""
    found = f"the database is {skew_seconds:+.1f} s from this machine"
    fix = "synchronise both machines' clocks (NTP): signatures and due times are judged by them"
    if abs(skew_seconds) > SKEW_SECONDS_MAX:
        return problem("clock", found, fix)
    return warning("clock", found, fix) if abs(skew_seconds) > SKEW_SECONDS_WARNING else ok("clock", found)


def _migration(connection: Connection) -> Finding:
    try:
        return _compare(connection)
    except ProgrammingError as error:
        return problem("migrations", f"cannot be read: {first_line(error.orig or error)}", "see the role")


def _compare(connection: Connection) -> Finding:
    script = ScriptDirectory(str(MIGRATIONS))
    expected = ", ".join(script.get_heads())
    there = connection.execute(text("SELECT to_regclass('alembic_version') IS NOT NULL")).scalar_one()
    rows = (
        connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() if there else []
    )
    if not rows:
        return problem(
            "migrations", f"none, {expected} was expected", "as the database's owner: ledgerbeat migrate"
        )
    found = ", ".join(rows)
    if found == expected:
        return ok("migrations", f"at head, {found}")
    if found in {one.revision for one in script.walk_revisions()}:
        return problem(
            "migrations",
            f"at {found}, {expected} was expected",
            "as the database's owner: ledgerbeat migrate",
        )
    return warning(
        "migrations", f"at {found}, newer than {expected} of this code", "deploy the newer code here too"
    )


def _role(connection: Connection, role: str) -> Finding:
    who = connection.execute(WHO, {"role": role}).one()
    if role and who.name != role:
        why = "it may not be assumed by" if who.exists else "it does not exist, this is"
        fix = f"GRANT {role} TO {who.name}" if who.exists else "as the database's owner: ledgerbeat migrate"
        return problem("role", f"{role}: {why} {who.name}", fix)
    if who.super:
        return warning(
            "role", f"{who.name} is a superuser, whom nothing holds back", "set LEDGERBEAT_DATABASE_ROLE"
        )
    return ok("role", f"acts as {who.name}")


def _rights(connection: Connection) -> Finding:
    tables = list(connection.execute(MAY_REWRITE, {"tables": list(APPEND_ONLY)}).scalars())
    if tables:
        names = ", ".join(tables)
        fix = f"REVOKE UPDATE, DELETE, TRUNCATE ON {names} FROM the role; see LEDGERBEAT_DATABASE_ROLE"
        return problem("rights", f"the worker may rewrite {names}", fix)
    return ok("rights", "the worker cannot rewrite what is append-only")


def _triggers(connection: Connection) -> Finding:
    missing = sorted(TRIGGERS - set(connection.execute(ENABLED).scalars()))
    if missing:
        fix = "ALTER TABLE ... ENABLE TRIGGER, find out who switched it off, then: ledgerbeat verify"
        return problem("guards", f"not enabled: {', '.join(missing)}", fix)
    return ok("guards", "every append-only trigger is enabled")


def _tenants(connection: Connection, settings: Settings) -> Iterator[Finding]:
    known = set(connection.execute(text("SELECT tenant FROM tenants")).scalars())
    if missing := sorted(set(settings.tenants) - known):
        yield problem(
            "tenants", f"configured, not in the database: {', '.join(missing)}", "ledgerbeat migrate"
        )
    for name in connection.execute(text("SELECT tenant FROM tenants WHERE paused_at IS NOT NULL")).scalars():
        yield warning("tenants", f"{name} is paused", f"when it may go on: ledgerbeat tenants resume {name}")
