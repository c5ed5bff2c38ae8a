"""An older wallet against ours: staged by COPY, compared both ways in one statement, told page by page.

All of it in one transaction of the caller's, whose temporary tables go with it; at most a page is in memory.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from psycopg import Cursor
from sqlalchemy import text
from sqlalchemy.orm import Session

Row = tuple[str, str, int]
"""Owner, currency, minor units within BIGINT."""

CHUNK_ROWS = 50_000
PAGE_ROWS_MAX = 10_000

STAGE = text("""
    CREATE TEMP TABLE IF NOT EXISTS older_wallets (
        owner text NOT NULL, currency text NOT NULL, amount_minor bigint NOT NULL
    ) ON COMMIT DROP
""")
# Numeric: a sum of rows may be past BIGINT.
DIFFERENCES = text("""
    CREATE TEMP TABLE IF NOT EXISTS wallet_differences (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind text NOT NULL, owner text NOT NULL,
        currency text NOT NULL, old_minor numeric NOT NULL, new_minor numeric NOT NULL, old_rows integer NOT NULL
    ) ON COMMIT DROP
""")
CLEAR = text("TRUNCATE wallet_differences RESTART IDENTITY")
COPY = "COPY older_wallets (owner, currency, amount_minor) FROM STDIN"

# The planner knows nothing of a table that was made a moment ago; the settings end with the transaction.
PREPARE = text("ANALYZE older_wallets")
ALLOW = text("""
    SELECT set_config('work_mem', '64MB', true), set_config('jit', 'off', true),
        set_config('statement_timeout', '600s', true)
""")

# What has no row on one side has nothing there: a wallet that does not exist is as good as an empty one.
COMPARE = text("""
    WITH older AS (
        SELECT owner, currency, sum(amount_minor) AS minor, count(*) AS rows FROM older_wallets GROUP BY 1, 2
    ), ours AS (
        SELECT owner, currency, sum(balance_minor) AS minor FROM accounts
        WHERE tenant = :tenant AND owner IS NOT NULL GROUP BY 1, 2
    ), compared AS MATERIALIZED (
        SELECT owner, currency, coalesce(o.minor, 0) AS old_minor, coalesce(n.minor, 0) AS new_minor,
            coalesce(o.rows, 0) AS old_rows,
            CASE WHEN coalesce(o.minor, 0) = coalesce(n.minor, 0) THEN 'agrees'
                WHEN n.minor IS NULL THEN 'only_in_old'
                WHEN o.minor IS NULL THEN 'only_in_new'
                ELSE 'differs' END AS kind
        FROM older o FULL JOIN ours n USING (owner, currency)
    ), kept AS (
        INSERT INTO wallet_differences (kind, owner, currency, old_minor, new_minor, old_rows)
        SELECT kind, owner, currency, old_minor, new_minor, old_rows FROM compared
        WHERE kind <> 'agrees' OR old_rows > 1
        ORDER BY abs(new_minor - old_minor) DESC, owner, currency
    )
    SELECT currency, sum(old_minor) AS old_minor, sum(new_minor) AS new_minor, sum(old_rows) AS old_rows,
        count(*) FILTER (WHERE kind = 'agrees') AS agreeing, count(*) FILTER (WHERE kind = 'differs') AS differing,
        count(*) FILTER (WHERE kind = 'only_in_old') AS only_in_old,
        count(*) FILTER (WHERE kind = 'only_in_new') AS only_in_new,
        coalesce(sum(new_minor - old_minor) FILTER (WHERE kind = 'differs'), 0) AS differing_minor,
        coalesce(sum(old_minor) FILTER (WHERE kind = 'only_in_old'), 0) AS only_in_old_minor,
        coalesce(sum(new_minor) FILTER (WHERE kind = 'only_in_new'), 0) AS only_in_new_minor,
        count(*) FILTER (WHERE old_rows > 1) AS repeated
    FROM compared GROUP BY currency ORDER BY currency
""")

PAGE = text("""
    SELECT id, kind, owner, currency, old_minor, new_minor, old_rows FROM wallet_differences
    WHERE id > :after ORDER BY id LIMIT :rows
""")

MISMATCHES = text("""
    SELECT a.currency, count(*), count(DISTINCT m.account_id), sum(m.short_minor)
    FROM ledger_mismatches m JOIN accounts a ON a.id = m.account_id
    WHERE m.tenant = :tenant GROUP BY 1 ORDER BY 1
""")


@dataclass(frozen=True, slots=True)
class Totals:
    """One currency, in wallets and minor units. They add up: new = old + differing - only_in_old + only_in_new.

    `old_rows` is how many rows the older wallet gave, `repeated` how many owners had more than one: they are summed.
    """

    currency: str
    old_minor: int
    new_minor: int
    old_rows: int
    agreeing: int
    differing: int
    only_in_old: int
    only_in_new: int
    differing_minor: int
    only_in_old_minor: int
    only_in_new_minor: int
    repeated: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both wallets as a whole, by currency."""

    totals: Sequence[Totals]

    @property
    def differing(self) -> int:
        """How many wallets do not have the same on both sides."""
        return sum(one.differing + one.only_in_old + one.only_in_new for one in self.totals)

    @property
    def repeated(self) -> int:
        """How many wallets the older one names more than once."""
        return sum(one.repeated for one in self.totals)


@dataclass(frozen=True, slots=True)
class Difference:
    """A wallet that is not the same on both sides (`differs`, `only_in_old`, `only_in_new`), or that the older one
    names more than once and that `agrees` all the same. `id` is the cursor."""

    id: int
    kind: str
    owner: str
    currency: str
    old_minor: int
    new_minor: int
    old_rows: int

    @property
    def difference_minor(self) -> int:
        """What ours has more."""
        return self.new_minor - self.old_minor


@dataclass(frozen=True, slots=True)
class Mismatches:
    """Postings of a tenant that only shadow mode let through, in one currency, and by how much they were short."""

    currency: str
    postings: int
    accounts: int
    short_minor: int


def stage(session: Session, rows: Iterable[Row]) -> int:
    """Copy what the older wallet says in, beside what is staged already; how many rows. Read as they come."""
    session.execute(STAGE)
    source, staged = iter(rows), 0
    while first := next(source, None):
        staged += _copy(session, chain([first], islice(source, CHUNK_ROWS - 1)))
    return staged


def compare(session: Session, tenant: str) -> Comparison:
    """What is staged against what the tenant's owners have, available and held; then `differences` has the wallets."""
    for statement in (STAGE, DIFFERENCES, CLEAR, PREPARE, ALLOW):
        session.execute(statement)
    return Comparison(
        [Totals(row[0], *map(int, row[1:])) for row in session.execute(COMPARE, {"tenant": tenant})]
    )


def differences(session: Session, limit: int = 1_000, after: int = 0) -> list[Difference]:
    """A page of what `compare` found, the largest difference first; `after` is the id of the last one seen."""
    page = session.execute(PAGE, {"after": after, "rows": max(1, min(limit, PAGE_ROWS_MAX))})
    return [
        Difference(
            row.id, row.kind, row.owner, row.currency, int(row.old_minor), int(row.new_minor), row.old_rows
        )
        for row in page
    ]


def count_mismatches(session: Session, tenant: str) -> list[Mismatches]:
    """What shadow mode has recorded of the tenant since its ledger began, by currency."""
    return [
        Mismatches(row[0], row[1], row[2], int(row[3]))
        for row in session.execute(MISMATCHES, {"tenant": tenant})
    ]


def _copy(session: Session, rows: Iterable[Row]) -> int:
    connection = session.connection().connection.driver_connection
    assert connection is not None  # noqa: S101 - it has just been asked for
    cursor: Cursor[tuple[object, ...]] = connection.cursor()
    with cursor:
        with cursor.copy(COPY) as copy:
            for owner, currency, amount_minor in rows:
                copy.write_row((_storable(owner), _storable(currency), amount_minor))
        return cursor.rowcount


def _storable(value: str) -> str:
    """As PostgreSQL can keep it: no NUL, no half of a surrogate pair. No wallet of ours has either."""
    if value.isascii() and "\0" not in value:
        return value
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
