"""Looks at what the run has left, from outside: tables, commands, processes. Each check returns what is wrong."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.chaos.mix import Mix
from tests.chaos.model import Account
from tests.chaos.senders import Promises
from tests.chaos.wanted import Told, Wanted
from tests.e2e.running import Running

SHOWN = 5

JOBS = """
    SELECT tenant, origin, idempotency_key AS key, id::text AS id, name, state, result ->> 'code' AS code,
        (result ->> 'balance_minor')::bigint AS balance_minor, attempts,
        (SELECT count(*) FROM ledger_transactions t WHERE t.job_id = j.id) AS postings
    FROM jobs j WHERE tenant = ANY(%s)
"""
ACCOUNTS = "SELECT tenant, code, currency, balance_minor FROM accounts WHERE tenant = ANY(%s)"

# An owner's wallet jobs, in the order in which the ledger has them: is any of them before one accepted earlier?
TURNED_ROUND = """
    SELECT tenant, code, seq, earlier FROM (
        SELECT a.tenant, a.code, j.seq, lag(j.seq) OVER (PARTITION BY a.id ORDER BY e.id) AS earlier
        FROM ledger_entries e JOIN accounts a ON a.id = e.account_id
        JOIN ledger_transactions t ON t.id = e.transaction_id JOIN jobs j ON j.id = t.job_id
        WHERE a.owner IS NOT NULL AND j.name LIKE 'wallets.%%' AND a.tenant = ANY(%s)) AS history
    WHERE earlier > seq
"""
MISCOUNTED = """
    SELECT tenant, code, id FROM (
        SELECT a.tenant, a.code, e.id, e.balance_after_minor,
            sum(e.amount_minor) OVER (PARTITION BY a.id ORDER BY e.id) AS balance
        FROM ledger_entries e JOIN accounts a ON a.id = e.account_id WHERE a.tenant = ANY(%s)) AS history
    WHERE balance <> balance_after_minor
"""

Row = Mapping[str, Any]


def look(running: Running, query: str, tenants: Sequence[str]) -> list[Row]:
    """The rows of these tenants."""
    with running.connect() as connection:
        cursor = connection.execute(query.encode(), (list(tenants),))
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def check_jobs(running: Running, mix: Mix, promises: Promises, tenants: Sequence[str]) -> list[str]:
    return judge_jobs(look(running, JOBS, tenants), mix, promises)


def judge_jobs(rows: Sequence[Row], mix: Mix, promises: Promises) -> list[str]:
    """Every job that was promised is there once, as promised, has ended as it must, and nothing else is there."""
    by_app = {(row["tenant"], row["key"]): row for row in rows if row["origin"] == "app"}
    by_event: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if row["origin"] == "provider":
            by_event[row["tenant"], row["key"].split(":", 1)[1].rsplit(":", 1)[0]].append(row)
    wrong = [*_missing(mix, by_app, by_event)]
    wrong += [fault for one in mix.jobs for fault in _judge(one, by_app.get((one.tenant, one.key)), promises)]
    wrong += [fault for one in mix.events for fault in _judge_event(one, by_event, promises)]
    wanted = len(mix.jobs) + len(mix.events)
    extra = len(rows) - wanted
    return wrong + [f"{len(rows)} jobs are there, {wanted} were sent"] * bool(extra)


def _missing(mix: Mix, by_app: Mapping[Any, Row], by_event: Mapping[Any, Any]) -> Iterable[str]:
    for one in mix.jobs:
        if (one.tenant, one.key) not in by_app:
            yield f"missing: {one.tenant} {one.name} {one.key}"
    for event in mix.events:
        if (event.tenant, event.event_key) not in by_event:
            yield f"missing: {event.tenant} {event.provider} {event.event_key}"


def _judge(wanted: Wanted, row: Row | None, promises: Promises) -> list[str]:
    if row is None:
        return []
    promised = promises.jobs.get((wanted.tenant, wanted.key), row["id"])
    expected: dict[str, Any] = {"id": promised, "name": wanted.name, "state": wanted.state,
                                "code": wanted.code, "postings": wanted.postings}  # fmt: skip
    if wanted.balance_minor is not None:
        expected["balance_minor"] = wanted.balance_minor
    return _differences(f"{wanted.tenant} {wanted.name} {wanted.key}", expected, row)


def _judge_event(told: Told, by_event: Mapping[tuple[str, str], list[Row]], promises: Promises) -> list[str]:
    where = f"{told.tenant} {told.provider} {told.event_key}"
    rows = by_event.get((told.tenant, told.event_key), [])
    wrong = [f"{where}: {len(rows)} jobs for one event"] if len(rows) > 1 else []
    if promises.news[told.tenant, told.event_key] > 1:
        wrong.append(f"{where}: was said to be new more than once")
    expected = {"state": told.state, "postings": told.postings}
    return wrong + [fault for row in rows for fault in _differences(where, expected, row)]


def _differences(where: str, expected: Mapping[str, Any], row: Row) -> list[str]:
    return [
        f"{where}: {name} is {row[name]!r}, {value!r} was expected"
        for name, value in expected.items()
        if row[name] != value
    ]


def check_balances(running: Running, mix: Mix, tenants: Sequence[str]) -> list[str]:
    """Every account of the ledger holds what the reference says, and no other account holds anything."""
    held = {
        Account(row["tenant"], row["code"], row["currency"]): row["balance_minor"]
        for row in look(running, ACCOUNTS, tenants)
        if row["balance_minor"]
    }
    expected = {account: minor for account, minor in mix.books.balances.items() if minor}
    return [
        f"{account}: holds {held.get(account, 0)}, {expected.get(account, 0)} was expected"
        for account in sorted(held.keys() | expected.keys())
        if held.get(account, 0) != expected.get(account, 0)
    ]


def check_order(running: Running, tenants: Sequence[str]) -> list[str]:
    """Wallet jobs of one owner took effect in the order in which they were accepted, each on the balance before it."""
    turned = [
        f"{row['tenant']} {row['code']}: job {row['seq']} took effect after job {row['earlier']}"
        for row in look(running, TURNED_ROUND, tenants)
    ]
    return turned + [
        f"{row['tenant']} {row['code']}: entry {row['id']} does not follow from those before it"
        for row in look(running, MISCOUNTED, tenants)
    ]


def check_books(running: Running) -> list[str]:
    verified = running.cli("verify")
    said = "\n".join(line for line in verified.stdout.splitlines() if not line.startswith("ok"))
    return [] if verified.returncode == 0 else [f"verify: {verified.returncode}: {said}{verified.stderr}"]


def tally(running: Running, tenants: Sequence[str]) -> Counter[str]:
    """How many jobs are in each state."""
    counted = look(running, "SELECT state, count(*) FROM jobs WHERE tenant = ANY(%s) GROUP BY 1", tenants)
    return Counter({row["state"]: row["count"] for row in counted})


def retried(running: Running, tenants: Sequence[str]) -> int:
    """Jobs of apps that took more than one attempt: a failed batch leaves no trace, so there should be none."""
    return sum(row["attempts"] > 1 for row in look(running, JOBS, tenants) if row["origin"] == "app")


def few(wrong: Sequence[str]) -> list[str]:
    """The first ones of each check, and how many more there are."""
    more = [f"... and {len(wrong) - SHOWN} more"] if len(wrong) > SHOWN else []
    return [*wrong[:SHOWN], *more]
