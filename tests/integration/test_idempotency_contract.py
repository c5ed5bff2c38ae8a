"""Plays every row of `ops/idempotency.md`: a real shim over real HTTP, the drain, the ledger.

Each scenario returns what the row's last two columns say, in the page's own words, made from what really came back.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from models.backfills.runs import Run
from models.ledger.outcomes import Created, PostingOutcome, Refused, Replayed
from models.ledger.verify import verify
from models.provider_accounts import AccountTerms, sync_accounts
from ops.bootstrap import ROOT
from tasks.backfills import service as backfills
from tasks.backfills.hands import Hands
from tasks.backfills.service import StartRequest
from tasks.intake.door import submit
from tasks.intake.routing import routing_of
from tasks.intake.service import drain
from tests.factories import credit_args
from tests.integration.backfills.runs import Nobody
from tests.integration.doors import Doors
from tests.integration.http.serving import GLOBEX_TOKEN, serving, settings, tenants
from tests.integration.ledger.postings import credit, debit, posted
from tests.integration.reconciliation.books import Books, record
from worker.database import Transaction

PAGE = ROOT / "ops" / "idempotency.md"
HEADER = ["case", "first", "then", "answer", "effect"]


def rows_of_the_page() -> dict[str, tuple[str, str]]:
    """Case -> (answer, effect), as the table says."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == HEADER
    rows = {row[0]: (row[3], row[4]) for row in cells[2:]}
    assert len(rows) == len(cells) - 2, "a case stands there twice"
    return rows


@pytest.fixture
def doors(
    database_url: str, transaction: Transaction, owner_transaction: Transaction, tenant: str
) -> Iterator[Doors]:
    """Nothing has happened yet. Whatever a scenario does, the books hold afterwards."""
    configured = settings(database_url)
    with serving(configured) as address, httpx.Client(base_url=address, timeout=20) as client:
        yield Doors(client, transaction, owner_transaction)
    with transaction() as session:
        assert [check for check in verify(session) if check.broken] == []


Told = tuple[str, str]
"""(answer, effect)"""


def said(first: httpx.Response, then: httpx.Response) -> str:
    """The second answer, in the words of the page."""
    if then.status_code != 202:
        return f"{then.status_code} {then.json()['code']}"
    before, after = first.json(), then.json()
    assert (first.status_code, before["duplicate"]) == (202, False)
    duplicate = f"duplicate {str(after['duplicate']).lower()}"
    if "job_id" not in after:
        return f"202, {duplicate}"
    return f"202, {'same' if before['job_id'] == after['job_id'] else 'other'} job_id, {duplicate}"


def moved(doors: Doors, *, first: int, both: int, owner: str = "ada") -> str:
    """What of two credits stands in the wallet, drained: the first, or both."""
    doors.drain()
    count = len(doors.transactions())
    return {(first, 1): "once", (both, 2): "twice"}.get((doors.wallet(owner), count), f"{count} transactions")


def first_only(doors: Doors, *, first: int, both: int) -> str:
    """The same where the two differ."""
    return {"once": "first only"}.get(found := moved(doors, first=first, both=both), found)


def http_replay(doors: Doors) -> Told:
    args = credit_args("ada", 100)
    first = doors.http(args)
    answers = [said(first, doors.http(args))]
    effects = [moved(doors, first=100, both=200)]
    answers.append(said(first, doors.http(args)))
    effects.append(moved(doors, first=100, both=200))
    return one_of(answers), one_of(effects)


def one_of(found: list[str]) -> str:
    """The same before the first took effect and after."""
    assert len(set(found)) == 1, found
    return found[0]


def http_replay_respelled(doors: Doors) -> Told:
    args = credit_args("ada", 100)
    respelled = json.dumps(dict(reversed(args.items())), indent=4).replace("ada", r"\u0061da").encode()
    return said(doors.http(args), doors.http(respelled)), moved(doors, first=100, both=200)


def http_reuse_arguments(doors: Doors) -> Told:
    first, then = doors.http(credit_args("ada", 100)), doors.http(credit_args("ada", 101))
    return said(first, then), first_only(doors, first=100, both=201)


def http_reuse_name(doors: Doors) -> Told:
    args = credit_args("ada", 100)
    first, then = doors.http(args), doors.http(args, "wallets.debit")
    return said(first, then), first_only(doors, first=100, both=0)


def http_other_tenant(doors: Doors) -> Told:
    args = credit_args("ada", 100)
    answer = said(doors.http(args), doors.http(args, token=GLOBEX_TOKEN))
    doors.drain()
    each = {tenant: doors.wallet(tenant=tenant) for tenant in ("acme", "globex")}
    assert sorted(tenant for tenant, _ in doors.transactions()) == ["acme", "globex"]
    return answer, "one each" if each == {"acme": 100, "globex": 100} else str(each)


def http_after_refusal(doors: Doors) -> Told:
    args = credit_args("ada", 100)
    first = doors.http(args, "wallets.debit")
    doors.drain()
    assert [job["state"] for job in doors.jobs()] == ["refused"]
    doors.http(args, key="the credit")
    doors.drain()
    answer = said(first, doors.http(args, "wallets.debit"))
    doors.drain()
    states = [job["state"] for job in doors.jobs()]
    stands = (states, doors.wallet()) == (["refused", "done"], 100)
    return answer, "first only" if stands else str(states)


def sql_replay(doors: Doors) -> Told:
    args = credit_args("ada", 100)
    answers = ["the same id" if doors.sql(args) == doors.sql(args) else "another id"]
    effect = moved(doors, first=100, both=200)
    answers.append("the same id" if doors.sql(args) == doors.jobs()[0]["id"] else "another id")
    return one_of(answers), one_of([effect, moved(doors, first=100, both=200)])


def sql_reuse(doors: Doors) -> Told:
    doors.sql(credit_args("ada", 100))
    with pytest.raises(DBAPIError) as raised:
        doors.sql(credit_args("ada", 101))
    diagnosis: Any = raised.value.orig
    code = diagnosis.diag.message_primary.partition(":")[0]
    return f"error {code} ({diagnosis.sqlstate})", first_only(doors, first=100, both=201)


def sql_then_http(doors: Doors) -> Told:
    args = credit_args("ada", 100)
    job_id, then = doors.sql(args), doors.http(args)
    same = "same" if then.json()["job_id"] == str(job_id) else "other"
    answer = f"{then.status_code}, {same} job_id, duplicate {str(then.json()['duplicate']).lower()}"
    return answer, moved(doors, first=100, both=200)


def celery_replay(doors: Doors) -> Told:
    """The function behind `jobs.accept`, with what the message holds."""
    for _ in range(2):
        submit(
            doors.transaction, tenant="acme", name="wallets.credit", key="k", args=credit_args("ada", 100),
            now=datetime.now(UTC),
        )  # fmt: skip
    answer = "no new job" if len(doors.jobs()) == 1 else "another job"
    return answer, moved(doors, first=100, both=200)


def expecting(doors: Doors) -> None:
    args = {
        "provider": "sandbox",
        "reference": "order-1",
        "owner": "ada",
        "amount_minor": 2000,
        "currency": "EUR",
    }
    assert doors.http(args, "deposits.expect", key="expect").status_code == 202
    doors.drain()


def webhook_replay(doors: Doors) -> Told:
    expecting(doors)
    first, then = doors.webhook(age_seconds=60), doors.webhook()
    answers, effects = [said(first, then)], [moved(doors, first=2000, both=4000)]
    answers.append(said(first, doors.webhook(age_seconds=5)))
    effects.append(moved(doors, first=2000, both=4000))
    return one_of(answers), one_of(effects)


def webhook_new_id(doors: Doors) -> Told:
    expecting(doors)
    answer = said(doors.webhook("evt_1"), doors.webhook("evt_2"))
    return answer, moved(doors, first=2000, both=4000)


def answered(first: PostingOutcome, then: PostingOutcome) -> str:
    assert isinstance(first, Created)
    match then:
        case Refused(code):
            return f"Refused {code}"
        case Replayed(transaction_id, balances) if transaction_id == first.transaction_id:
            return f"Replayed, {'the first' if balances == first.balances else 'other'} balances"
        case _:
            return type(then).__name__


def ledger_replay(doors: Doors) -> Told:
    posting, another = credit("ada", 100, "a"), credit("ada", 1, "b")
    [first, _] = posted(doors.transaction, posting, another)
    [then] = posted(doors.transaction, posting)
    effect = {(101, 2): "once"}.get((doors.wallet(), len(doors.transactions())), "twice")
    return answered(first, then), effect


def ledger_conflict(doors: Doors) -> Told:
    [first] = posted(doors.transaction, credit("ada", 100, "a"))
    [then] = posted(doors.transaction, credit("ada", 101, "a"))
    return answered(first, then), first_only(doors, first=100, both=201)


def ledger_replay_empty(doors: Doors) -> Told:
    posting = debit("ada", 100, "a")
    _, first = posted(doors.transaction, credit("ada", 100, "funds"), posting)
    assert doors.wallet() == 0
    [then] = posted(doors.transaction, posting)
    answer = answered(first, then)
    assert answer == "Replayed, the first balances"
    once = (doors.wallet(), len(doors.transactions())) == (0, 2)
    return "Replayed, not insufficient_funds", "once" if once else "twice"


def award_overlap(doors: Doors) -> Told:
    awards = [{"owner": f"owner-{n}", "placement": n, "amount_minor": 10 * n} for n in (1, 2, 3)]
    award = {"event": "cup", "currency": "EUR", "reason": "prize"}
    for key, won in (("first", awards[:2]), ("second", awards)):
        assert doors.http({**award, "awards": won}, "wallets.award", key=key).status_code == 202
        doors.drain()
    job = doors.jobs()[-1]
    result = job["result"]
    answer = f"{job['state']}, {result['created']} created and {result['replayed']} replayed"
    wallets = [doors.wallet(f"owner-{n}") for n in (1, 2, 3)]
    return answer, "each once" if wallets == [10, 20, 30] and len(doors.transactions()) == 3 else str(wallets)


PAYOUT = {
    "owner": "ada",
    "amount_minor": 100,
    "currency": "EUR",
    "provider": "sandbox",
    "destination": "ba_ada",
    "requested_by": "app",
}


def paying(doors: Doors) -> None:
    """ada has enough for two payouts, and the tenant an account at the sandbox."""
    with doors.transaction() as session:
        sync_accounts(session, [AccountTerms("acme", "sandbox", "sandbox")])
    assert doors.http(credit_args("ada", 200), key="funds").status_code == 202
    doors.drain()


def payouts(doors: Doors) -> str:
    """How many payouts and holds stand, drained."""
    doors.drain()
    numbers = {1: "one", 2: "two"}
    with doors.transaction() as session:
        made = session.execute(text("SELECT count(*) FROM payouts")).scalar_one()
    holds = [kind for _, kind in doors.transactions()].count("hold.placed")
    assert doors.wallet() == 200 - 100 * holds
    return f"{numbers[made]} payout{'s' * (made > 1)}, {numbers[holds]} hold{'s' * (holds > 1)}"


def payout_replay(doors: Doors) -> Told:
    paying(doors)
    first = doors.http(PAYOUT, "payouts.request", key="p")
    answers = [said(first, doors.http(PAYOUT, "payouts.request", key="p"))]
    effects = [payouts(doors)]
    answers.append(said(first, doors.http(PAYOUT, "payouts.request", key="p")))
    effects.append(payouts(doors))
    return one_of(answers), one_of(effects)


def payout_new_key(doors: Doors) -> Told:
    paying(doors)
    first, then = (doors.http(PAYOUT, "payouts.request", key=key) for key in ("p", "q"))
    return said(first, then), payouts(doors)


def payout_doors(doors: Doors) -> Told:
    paying(doors)
    job_id, then = doors.sql(PAYOUT, "payouts.request", "p"), doors.http(PAYOUT, "payouts.request", key="p")
    now = datetime.now(UTC)
    told = submit(doors.transaction, tenant="acme", name="payouts.request", key="p", args=PAYOUT, now=now)
    assert (told.job_id, told.duplicate) == (job_id, True)
    same = "same" if then.json()["job_id"] == str(job_id) else "other"
    answer = f"{then.status_code}, {same} job_id, duplicate {str(then.json()['duplicate']).lower()}"
    return answer, payouts(doors)


def payout_command(doors: Doors) -> Told:
    paying(doors)
    payout_id = doors.http(PAYOUT, "payouts.request", key="p").json()["job_id"]
    asked = {"payout_id": payout_id, "actor": "ops:dana", "reason": "as agreed"}
    for key in ("first", "second"):
        assert doors.http(asked, "payouts.cancel", key=key).status_code == 202
        doors.drain()
    done, refused = doors.jobs()[-2:]
    released = [kind for _, kind in doors.transactions()].count("hold.released")
    answer = f"{done['state']}, then {refused['state']} {refused['result']['code']}"
    return answer, "released once" if (released, doors.wallet()) == (1, 200) else f"{released} releases"


def reconcile_again(doors: Doors) -> Told:
    books = Books(doors.transaction)
    states = [books.run(record("r", 500, fee_minor=17)).state for _ in range(2)]
    counted = [len(books.rows("SELECT id FROM reconciliation_runs")), len(books.findings())]
    once = (counted, books.balance("house:fees")) == ([1, 1], -17)
    return ", then ".join(states), "one run, one finding, the fee once" if once else f"{counted}"


RECALC = {"kind": "wallet_recalc", "actor": "ops:dana", "reason": "ticket 311"}
OLD = {
    "namespace": "old",
    "unit": "minor",
    "reason": "history",
    "columns": {
        "id": "id",
        "owner": "owner",
        "amount": "amount",
        "currency": "currency",
        "occurred_at": "at",
    },
}
OLD_ROWS = [f"{n},ada,{10 * n},EUR,2025-03-14T12:00:00Z" for n in (1, 2, 3)]


def backfill_replay(doors: Doors) -> Told:
    first, then = (doors.http(RECALC, "backfills.start") for _ in range(2))
    routing = routing_of(tenants)
    drain(doors.transaction, "acme", routing=routing, clock=partial(datetime.now, UTC), seconds_max=60)
    with doors.transaction() as session:
        runs = list(session.execute(text("SELECT id FROM backfills")).scalars())
    assert [str(run) for run in runs] == [first.json()["job_id"]]
    return said(first, then), "one run"


def moved_in(doors: Doors, rows: Sequence[str], **told: str) -> Run:
    """What became of a backfill of these rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "old.csv")
        path.write_text("\n".join(("id,owner,amount,currency,at", *rows)))
        source = {"type": "file", "path": str(path), "mapping": OLD | told}
        request = StartRequest(
            id=uuid4(), tenant="acme", kind="postings", source=source, actor="ops:dana", reason="it moves"
        )
        hands = Hands(doors.transaction, tenants(), Nobody(), publish=lambda *_: None)
        with doors.transaction() as session:
            backfills.start(session, tenants(), request, now=datetime.now(UTC))
        return backfills.run_to_end(hands, request.id)


def backfill(doors: Doors, rows: Sequence[str], **told: str) -> tuple[str, int]:
    """The three rows, then these: what is said of both, and how many transactions stand."""
    first, then = moved_in(doors, OLD_ROWS), moved_in(doors, rows, **told)
    assert (first.posted, first.quarantined) == (3, 0)
    counts = [f"{count} {word}" for word in ("posted", "replayed") if (count := getattr(then, word))]
    return f"{first.state}, then {then.state}: {', '.join([*counts, *then.reasons])}", len(
        doors.transactions()
    )


def backfill_again(doors: Doors) -> Told:
    answer, count = backfill(doors, [*reversed(OLD_ROWS)])
    return answer, "each row once" if (count, doors.wallet()) == (3, 60) else f"{count} transactions"


def backfill_conflict(doors: Doors) -> Told:
    answer, count = backfill(doors, [*OLD_ROWS[:2], OLD_ROWS[2].replace("30", "31")])
    return answer, "first only" if (count, doors.wallet()) == (3, 60) else f"{count} transactions"


def backfill_namespace(doors: Doors) -> Told:
    answer, count = backfill(doors, OLD_ROWS, namespace="older")
    return answer, "twice" if (count, doors.wallet()) == (6, 120) else f"{count} transactions"


SCENARIOS: dict[str, Callable[[Doors], Told]] = {
    "http-replay": http_replay,
    "http-replay-respelled": http_replay_respelled,
    "http-reuse-arguments": http_reuse_arguments,
    "http-reuse-name": http_reuse_name,
    "http-other-tenant": http_other_tenant,
    "http-after-refusal": http_after_refusal,
    "sql-replay": sql_replay,
    "sql-reuse": sql_reuse,
    "sql-then-http": sql_then_http,
    "celery-replay": celery_replay,
    "webhook-replay": webhook_replay,
    "webhook-new-id": webhook_new_id,
    "ledger-replay": ledger_replay,
    "ledger-conflict": ledger_conflict,
    "ledger-replay-empty": ledger_replay_empty,
    "award-overlap": award_overlap,
    "payout-replay": payout_replay,
    "payout-new-key": payout_new_key,
    "payout-doors": payout_doors,
    "payout-command": payout_command,
    "reconcile-again": reconcile_again,
    "backfill-replay": backfill_replay,
    "backfill-again": backfill_again,
    "backfill-conflict": backfill_conflict,
    "backfill-namespace": backfill_namespace,
}


def test_the_page_and_the_scenarios_are_the_same_cases() -> None:
    assert list(rows_of_the_page()) == list(SCENARIOS)


@pytest.mark.parametrize("case", SCENARIOS)
def test_the_case_is_as_the_page_says(case: str, doors: Doors) -> None:
    assert SCENARIOS[case](doors) == rows_of_the_page()[case]
