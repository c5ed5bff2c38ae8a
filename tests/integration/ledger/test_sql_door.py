"""enqueue_job(): the door for apps that share the database, through a role that may do nothing else."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from functools import partial
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from models.jobs.accept import Accepted, JobRequest, Rejected, accept
from models.tenants import set_paused, sync_tenant_roles
from tests.integration.ledger.postings import rows_of
from tests.integration.migrations.schema import metadata
from tests.waiting import until
from worker.database import Transaction, make_engine, transactions

pytestmark = pytest.mark.usefixtures("tenant")

ENQUEUE = text("SELECT enqueue_job(:tenant, :name, :key, CAST(:args AS jsonb))")
ARGS = '{"owner": "ada", "amount_minor": 100, "currency": "EUR", "reason": "promo"}'
UNAUTHENTICATED = "28000"
INSUFFICIENT_PRIVILEGE = "42501"
WAITING = text("""
    SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE NOT l.granted AND a.datname = current_database()
""")


class Roles:
    """Makes LOGIN roles with names of their own and engines that log in as them."""

    def __init__(self, owner: Transaction, database_url: str) -> None:
        self.owner = owner
        self.url = make_url(database_url)
        self.names: list[str] = []
        self.engines: list[Engine] = []

    def make(self, granted: str = "ledgerbeat_enqueue") -> str:
        name = f"app_{uuid4().hex[:12]}"
        with self.owner() as session:
            session.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD 'of-a-test' IN ROLE {granted}"))
        self.names.append(name)
        return name

    def log_in(self, name: str) -> Transaction:
        url = self.url.set(username=name, password="of-a-test").render_as_string(hide_password=False)
        self.engines.append(make_engine(url))
        return transactions(self.engines[-1])

    def drop(self) -> None:
        for engine in self.engines:
            engine.dispose()
        for name in reversed(self.names):
            with self.owner() as session:
                session.execute(text(f"DROP OWNED BY {name}"))
                session.execute(text(f"DROP ROLE {name}"))


@pytest.fixture
def roles(owner_transaction: Transaction, database_url: str) -> Iterator[Roles]:
    roles = Roles(owner_transaction, database_url)
    yield roles
    roles.drop()


@pytest.fixture
def app_role(roles: Roles) -> str:
    """May enqueue for acme, and nothing else."""
    name = roles.make()
    with roles.owner() as session:
        sync_tenant_roles(session, {"acme": [name]})
    return name


@pytest.fixture
def app(roles: Roles, app_role: str) -> Transaction:
    return roles.log_in(app_role)


def enqueue(
    session: Session,
    key: str | None = "k1",
    args: str | None = ARGS,
    tenant: str | None = "acme",
    name: str | None = "wallets.credit",
) -> UUID:
    parameters = {"tenant": tenant, "name": name, "key": key, "args": args}
    return UUID(str(session.execute(ENQUEUE, parameters).scalar_one()))


def enqueued(
    app: Transaction,
    key: str | None = "k1",
    args: str | None = ARGS,
    tenant: str | None = "acme",
    name: str | None = "wallets.credit",
) -> UUID:
    with app() as session:
        return enqueue(session, key, args, tenant, name)


def refusal(ask: Callable[[], object]) -> tuple[str, str]:
    """The SQLSTATE and the message that the call is refused with."""
    with pytest.raises(DBAPIError) as raised:
        ask()
    original = raised.value.orig
    return str(getattr(original, "sqlstate", None)), str(original)


def test_a_job_is_recorded_as_the_other_doors_record_it(app: Transaction, transaction: Transaction) -> None:
    job_id = enqueued(app)
    with transaction() as session:
        row = session.execute(text("SELECT * FROM jobs")).one()
    assert row.id == job_id
    assert (row.tenant, row.name, row.origin, row.idempotency_key) == ("acme", "wallets.credit", "app", "k1")
    assert (row.state, row.attempts, row.finished_at) == ("queued", 0, None)
    assert row.args == {"owner": "ada", "amount_minor": 100, "currency": "EUR", "reason": "promo"}
    assert row.due_at.tzinfo is not None


def test_the_job_stands_or_falls_with_the_apps_own_transaction(
    app: Transaction, roles: Roles, app_role: str, transaction: Transaction
) -> None:
    with roles.owner() as session:
        session.execute(text("CREATE TABLE orders (id text)"))
        session.execute(text(f"GRANT SELECT, INSERT ON orders TO {app_role}"))
    with app() as session:
        session.execute(text("INSERT INTO orders VALUES ('o1')"))
        enqueue(session)
        session.rollback()
    assert (rows_of(app, "orders"), rows_of(transaction, "jobs")) == (0, 0)
    with app() as session:
        session.execute(text("INSERT INTO orders VALUES ('o1')"))
        enqueue(session)
    assert (rows_of(app, "orders"), rows_of(transaction, "jobs")) == (1, 1)


def test_the_same_request_again_is_the_same_job(app: Transaction, transaction: Transaction) -> None:
    respelled = '{"reason":"promo",  "currency":"EUR","amount_minor":100,"owner":"ada"}'
    assert enqueued(app) == enqueued(app) == enqueued(app, args=respelled)
    assert rows_of(transaction, "jobs") == 1


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("wallets.credit", ARGS.replace("100", "101")),
        ("wallets.credit", ARGS.replace("100", "100.0")),
        ("wallets.credit", ARGS.replace("100", '"100"')),
        ("wallets.credit", "{}"),
        ("wallets.debit", ARGS),
    ],
)
def test_the_same_key_for_something_else_is_refused(
    app: Transaction, transaction: Transaction, name: str, args: str
) -> None:
    job_id = enqueued(app)
    state, message = refusal(lambda: enqueued(app, name=name, args=args))
    assert state == "23505"
    assert message.startswith(f"idempotency_key_reused: job {job_id}")
    assert rows_of(transaction, "jobs") == 1


def test_another_tenant_looks_like_one_that_does_not_exist(app: Transaction) -> None:
    of_another = refusal(lambda: enqueued(app, tenant="globex"))
    of_none = refusal(lambda: enqueued(app, tenant="nobody"))
    assert of_another[0] == of_none[0] == UNAUTHENTICATED
    assert of_another[1].startswith("unauthenticated: ")
    assert of_another[1].replace("globex", "nobody") == of_none[1]
    assert refusal(lambda: enqueued(app, tenant=None))[0] == UNAUTHENTICATED


def test_that_another_tenant_is_paused_is_not_told(app: Transaction, roles: Roles, now: datetime) -> None:
    before = refusal(lambda: enqueued(app, tenant="globex"))
    with roles.owner() as session:
        set_paused(session, "globex", now)
    assert refusal(lambda: enqueued(app, tenant="globex")) == before


def test_a_paused_tenant_is_refused_and_let_in_again(app: Transaction, roles: Roles, now: datetime) -> None:
    with roles.owner() as session:
        assert set_paused(session, "acme", now)
    state, message = refusal(lambda: enqueued(app))
    assert (state, message.partition(":")[0]) == ("55000", "tenant_paused")
    with roles.owner() as session:
        assert set_paused(session, "acme", None)
    assert isinstance(enqueued(app), UUID)


@pytest.mark.parametrize("key", [None, "", "k" * 256, "ключ", "a\nb", "a\n", "a\tb", "a\x7f"])
def test_a_bad_key_is_refused(app: Transaction, key: str | None) -> None:
    state, message = refusal(lambda: enqueued(app, key=key))
    assert (state, message.partition(":")[0]) == ("22023", "bad_idempotency_key")


@pytest.mark.parametrize("key", ["k", "k" * 255, "~ !", '"\\'])
def test_a_key_is_any_printable_ascii(app: Transaction, key: str) -> None:
    assert enqueued(app, key=key) == enqueued(app, key=key)


@pytest.mark.parametrize("args", [None, "[]", "[{}]", "null", "true", "1", '"{}"'])
def test_arguments_that_are_no_object_are_refused(app: Transaction, args: str | None) -> None:
    state, message = refusal(lambda: enqueued(app, args=args))
    assert (state, message.partition(":")[0]) == ("22023", "malformed_json")


def test_a_job_without_a_name_is_refused(app: Transaction) -> None:
    assert refusal(lambda: enqueued(app, name=None))[0] == "22023"


@pytest.mark.parametrize(
    ("name", "size"), [("wallets.credit", 1_048_577), ("n" * 101, 100)], ids=["arguments", "name"]
)
def test_what_is_too_large_is_refused(app: Transaction, name: str, size: int) -> None:
    state, message = refusal(lambda: enqueued(app, name=name, args=object_of(size)))
    assert (state, message.partition(":")[0]) == ("22023", "body_too_large")


def test_what_is_just_not_too_large_is_accepted(app: Transaction) -> None:
    assert isinstance(enqueued(app, name="n" * 100, args=object_of(1_048_576)), UUID)


def object_of(size: int) -> str:
    """A JSON object that PostgreSQL spells in exactly `size` bytes."""
    return '{"a": "' + "x" * (size - len('{"a": ""}')) + '"}'


@pytest.mark.parametrize("table", [*sorted(metadata.tables), "alembic_version"])
def test_the_role_reads_and_writes_no_table(app: Transaction, table: str) -> None:
    for statement in ("SELECT * FROM {}", "DELETE FROM {}", "INSERT INTO {} DEFAULT VALUES"):
        assert refusal(partial(run, app, statement.format(table)))[0] == INSUFFICIENT_PRIVILEGE


def test_the_role_reads_no_wallets(app: Transaction) -> None:
    assert refusal(lambda: run(app, "SELECT * FROM wallets"))[0] == INSUFFICIENT_PRIVILEGE


def run(app: Transaction, statement: str) -> None:
    with app() as session:
        session.execute(text(statement))


def test_a_role_that_is_not_listed_may_not_enqueue(roles: Roles, app: Transaction) -> None:
    stranger = roles.log_in(roles.make())
    state, message = refusal(lambda: enqueued(stranger))
    assert (state, message.partition(":")[0]) == (UNAUTHENTICATED, "unauthenticated")


def test_a_role_that_is_listed_without_the_grant_may_not_call_it(roles: Roles) -> None:
    name = roles.make(granted="pg_monitor")
    with roles.owner() as session:
        sync_tenant_roles(session, {"acme": [name]})
    assert refusal(lambda: enqueued(roles.log_in(name)))[0] == INSUFFICIENT_PRIVILEGE


def test_a_role_that_is_taken_off_the_list_is_refused_at_once(app: Transaction, roles: Roles) -> None:
    assert isinstance(enqueued(app), UUID)
    with roles.owner() as session:
        sync_tenant_roles(session, {"acme": []})
    assert refusal(lambda: enqueued(app))[0] == UNAUTHENTICATED


def test_a_member_of_a_listed_role_may_enqueue(roles: Roles, app_role: str) -> None:
    member = roles.log_in(roles.make(granted=app_role))
    assert isinstance(enqueued(member), UUID)


def test_stepping_down_to_the_bare_role_gives_no_tenant(app: Transaction) -> None:
    def ask() -> None:
        with app() as session:
            session.execute(text("SET LOCAL ROLE ledgerbeat_enqueue"))
            enqueue(session)

    assert refusal(ask)[0] == UNAUTHENTICATED


def test_the_worker_may_enqueue_for_every_tenant(transaction: Transaction) -> None:
    assert enqueued(transaction, tenant="acme") != enqueued(transaction, tenant="globex")


def test_tables_of_the_callers_own_do_not_stand_in_for_the_real_ones(
    app: Transaction, transaction: Transaction
) -> None:
    with app() as session:
        session.execute(text("CREATE TEMP TABLE tenant_roles (tenant text, role_name text)"))
        session.execute(text("INSERT INTO pg_temp.tenant_roles VALUES ('globex', session_user)"))
        session.execute(text("CREATE TEMP TABLE jobs (id uuid)"))
        session.execute(text("SET LOCAL search_path = pg_temp, public"))
        enqueue(session)
    assert rows_of(transaction, "jobs") == 1
    assert refusal(lambda: enqueued(app, tenant="globex"))[0] == UNAUTHENTICATED


@pytest.mark.parametrize("first_commits", [True, False])
def test_two_at_once_with_the_same_key_end_with_one_job(
    app: Transaction, transaction: Transaction, first_commits: bool
) -> None:
    with ThreadPoolExecutor(1) as pool:
        with app() as session:
            first = enqueue(session)
            second: Future[UUID] = pool.submit(enqueued, app)
            until(lambda: waiting(transaction), what="the second caller that waits")
            assert not second.done()
            if not first_commits:
                session.rollback()
        assert (second.result(120) == first) is first_commits
    assert rows_of(transaction, "jobs") == 1


def waiting(transaction: Transaction) -> bool:
    with transaction() as session:
        return bool(session.execute(WAITING).scalar_one())


def test_both_doors_take_the_same_request_for_the_same(
    app: Transaction, transaction: Transaction, now: datetime
) -> None:
    nested = '{"b": [1, {"y": 2, "x": "ü"}], "a": null, "ж": 9007199254740993}'
    same = {"ж": 9007199254740993, "a": None, "b": [1, {"x": "ü", "y": 2}]}
    job_id = enqueued(app, args=nested)
    with transaction() as session:
        again, other = accept(
            session,
            [
                JobRequest("acme", "wallets.credit", "app", "k1", same),
                JobRequest("acme", "wallets.credit", "app", "k1", same | {"a": 0}),
            ],
            now=now,
        )
    assert isinstance(again, Accepted)
    assert (again.job_id, again.duplicate) == (job_id, True)
    assert isinstance(other, Rejected)
    assert other.error.code == "idempotency_key_reused"


def test_what_the_python_door_took_the_sql_door_knows(
    app: Transaction, transaction: Transaction, now: datetime
) -> None:
    args = {"reason": "promo", "currency": "EUR", "amount_minor": 100, "owner": "ada"}
    with transaction() as session:
        (accepted,) = accept(session, [JobRequest("acme", "wallets.credit", "app", "k1", args)], now=now)
    assert isinstance(accepted, Accepted)
    assert enqueued(app) == accepted.job_id
