"""`ledgerbeat payouts` and `providers`: the whole story, told to people and to scripts; stopping money at once."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from models.audit import record
from models.payouts.moving import Note, note
from models.payouts.payout import attempt_key, attempt_reference
from models.payouts.rows import lock_payouts
from models.payouts.states import STATES
from models.payouts.story import tell_story
from models.reconciliation import Finding, record_findings
from ops.cli import output
from ops.cli.timeline import timeline, what_next
from tests.factories import accept_jobs, job_request
from tests.integration.payouts.histories import Histories
from tests.integration.repair.commands import Run, runner
from worker.database import Transaction
from worker.providers.port import ProviderEvent

FOREIGN = "globex"


@pytest.fixture
def histories(transaction: Transaction, tenant: str, now: datetime) -> Histories:
    made = Histories(transaction, now, tenant)
    made.account()
    return made


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, database_url: str
) -> Run:
    return runner(monkeypatch, capsys, tmp_path, database_url=database_url)


@pytest.fixture
def eventful(histories: Histories) -> UUID:
    """A payout to which everything happened: approval, a decline, a doubt, a webhook, a return; and all the traces."""
    with histories.transaction() as session:
        session.execute(text("UPDATE tenants SET notified = true"))
    histories.fund()
    payout_id = histories.request(waits=True)
    histories.approve(payout_id)
    histories.claim(payout_id)
    histories.decline(payout_id)
    command(
        histories, payout_id, "payouts.retry", "refused", '{"code": "cooldown_active", "seconds_left": 299}'
    )
    histories.claim(payout_id, 2)
    histories.doubt(payout_id, 2)
    remark(histories, payout_id)
    event = webhook(histories, payout_id, 2, "done", '{"effect": "paid"}')
    histories.pay(payout_id, event)
    webhook(histories, payout_id, 2, "dead", '{"code": "amount_conflict"}')
    histories.step(payout_id, "returned", "webhook", code="bounced", failure_code="bounced", attempt_no=2)
    histories.attempt_is(payout_id, "returned", "bounced", "po_2")
    return payout_id


def remark(histories: Histories, payout_id: UUID) -> None:
    """A look-up, an audit event and a finding."""
    with histories.transaction() as session:
        payout = lock_payouts(session, histories.tenant, [payout_id])[payout_id]
        note(session, [Note(payout, "lookup", 2, "not_found_yet")], now=histories.now)
        record(
            session, tenant=payout.tenant, actor="boss", action="payouts.approve", subject=payout.subject,
            reason="checked", now=histories.now,
        )  # fmt: skip
        finding = Finding(payout.tenant, "sandbox", "in_doubt_overdue", payout.subject)
        record_findings(session, [finding], now=histories.now)


def command(histories: Histories, payout_id: UUID | str, name: str, state: str, result: str) -> None:
    args = {"payout_id": str(payout_id), "actor": "bob", "reason": "customer calls"}
    [job_id] = accept_jobs(histories.transaction, [job_request(name, args)], now=histories.now)
    finish(histories, job_id, state, result)


def webhook(histories: Histories, payout_id: UUID, attempt_no: int, state: str, result: str) -> UUID:
    reference = attempt_reference(payout_id, attempt_no)
    event = ProviderEvent(
        f"evt_{state}", "payout.paid", None, reference, "po_2", None, 500, "EUR", 2, histories.now.isoformat()
    )
    request = job_request("webhooks.event", {**event.as_args(), "provider": "sandbox"}, origin="provider")
    [job_id] = accept_jobs(histories.transaction, [request], now=histories.now)
    finish(histories, job_id, state, result)
    return job_id


def finish(histories: Histories, job_id: UUID, state: str, result: str) -> None:
    with histories.transaction() as session:
        session.execute(
            text(
                "UPDATE jobs SET state = :state, finished_at = :now, result = CAST(:result AS jsonb) WHERE id = :id"
            ),
            {"id": job_id, "state": state, "now": histories.now, "result": result},
        )


def test_everything_that_happened_is_told_in_order(histories: Histories, eventful: UUID) -> None:
    with histories.transaction() as session:
        moments = timeline(tell_story(session, eventful))
    said = [one.said for one in moments]
    assert [one.at for one in moments] == sorted(one.at for one in moments)
    expected = (
        "asked for by shop: 5.00 EUR of ada to ba_1 by sandbox",
        "hold.placed",
        "awaiting_approval -> approved, by approved, boss, checked",
        f"attempt 1: key {attempt_key(eventful, 1)}, reference {attempt_reference(eventful, 1)}",
        "payouts.retry by bob: refused (cooldown_active, 299 s left) - customer calls",
        "attempt 1 declined bank_busy after ",
        "sending -> cooling, by answer, attempt 1, bank_busy",
        f"attempt 2: key {attempt_key(eventful, 2)}",
        "webhook payout.paid (evt_done, sequence 2): done (paid)",
        "sending -> in_doubt, by answer, attempt 2, timeout",
        "unchanged, by lookup, attempt 2, not_found_yet",
        "webhook payout.paid (evt_dead, sequence 2): dead (amount_conflict)",
        "in_doubt -> paid, by webhook",
        "paid -> returned, by webhook, attempt 2, bounced",
        "payout.returned",
    )
    places = [next((at for at, one in enumerate(said) if one.startswith(words)), -1) for words in expected]
    assert -1 not in places, dict(zip(expected, places, strict=True))
    assert places == sorted(places), dict(zip(expected, places, strict=True))
    assert any(one.startswith("hold.captured") and "wallet:ada:held -500 -> 0" in one for one in said)
    assert any(one.startswith("given back: 500 EUR") for one in said)
    assert any(one.startswith("payout.returned (version 8) is pending") for one in said)
    assert any(one.startswith("payouts.approve by boss: checked") for one in said)
    assert any(one.startswith("in_doubt_overdue is open") for one in said)


def test_the_ledger_stands_at_the_move_that_made_it(histories: Histories, eventful: UUID) -> None:
    with histories.transaction() as session:
        story = tell_story(session, eventful)
    moved = {one.facts["transaction_id"]: one.at for one in timeline(story) if one.kind == "move"}
    told = {one.facts["transaction_id"]: one.at for one in timeline(story) if one.kind == "ledger"}
    assert len(told) == 3
    assert {number: moved[number] for number in told} == told


def test_what_waits_for_the_payout_is_part_of_its_story(histories: Histories) -> None:
    histories.fund()
    payout_id = histories.request()
    histories.claim(payout_id)
    event = webhook(histories, payout_id, 1, "done", "{}")
    with histories.transaction() as session:
        keys = f"payout:sandbox:ref:{attempt_reference(payout_id, 1)}"
        session.execute(
            text(
                "UPDATE jobs SET state = 'parked', finished_at = NULL, wait_keys = ARRAY[:key] WHERE id = :id"
            ),
            {"id": event, "key": keys},
        )
    with histories.transaction() as session:
        assert [one["state"] for one in tell_story(session, payout_id).webhooks] == ["parked"]


def test_a_command_may_spell_the_payout_in_capitals(histories: Histories) -> None:
    histories.fund()
    payout_id = histories.request()
    command(histories, str(payout_id).upper(), "payouts.cancel", "refused", '{"code": "wrong_state"}')
    with histories.transaction() as session:
        assert [one["name"] for one in tell_story(session, payout_id).commands] == ["payouts.cancel"]


def test_what_comes_next_is_said_in_every_state(histories: Histories) -> None:
    made = histories.every_state()
    now = histories.now
    words = {
        "awaiting_approval": "somebody other than shop must approve it",
        "approved": "next attempt at ",
        "sending": "the provider's answer, until ",
        "submitted": "sandbox has it and will tell by webhook; if it does not, look-up 1 at ",
        "in_doubt": "look-up 1 at ",
        "cooling": "1 made of 4 at most; a person may retry it from ",
        "paid": "nothing, unless the provider brings it back",
        "returned": "nothing: it has ended",
        "failed": "nothing: it has ended",
        "cancelled": "nothing: it has ended",
    }
    with histories.transaction() as session:
        said = {state: what_next(tell_story(session, made[state]), now) for state in STATES}
    assert {state for state in STATES if words[state] not in said[state]} == set(), said
    assert "(in 5 min)" in said["cooling"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE tenants SET paused_at = now()", "but the tenant is paused"),
        (
            "UPDATE provider_accounts SET paused_at = now(), paused_by = 'boss'",
            "but sandbox is paused by boss",
        ),
        ("UPDATE provider_accounts SET enabled = false", "but sandbox is not configured to pay out"),
        (
            "UPDATE provider_accounts SET breaker = 'open', breaker_code = 'unauthorized', probe_at = now()",
            "but the breaker of sandbox is open (unauthorized)",
        ),
    ],
)
def test_what_stands_in_its_way_is_said(histories: Histories, change: str, words: str) -> None:
    histories.fund()
    payout_id = histories.request()
    with histories.transaction() as session:
        session.execute(text(change))
        assert words in what_next(tell_story(session, payout_id), histories.now)


def test_one_tenants_traces_are_not_in_anothers_story(histories: Histories, eventful: UUID) -> None:
    about = f"payout:{eventful}"
    args = {"payout_id": str(eventful), "actor": "mallory", "reason": "mine"}
    accept_jobs(
        histories.transaction, [job_request("payouts.cancel", args, tenant=FOREIGN)], now=histories.now
    )
    with histories.transaction() as session:
        record(
            session, tenant=FOREIGN, actor="mallory", action="x", subject=about, reason="y", now=histories.now
        )
        record_findings(session, [Finding(FOREIGN, "sandbox", "unknown_event", about)], now=histories.now)
    with histories.transaction() as session:
        assert "mallory" not in str(tell_story(session, eventful))
        assert "unknown_event" not in str(tell_story(session, eventful))


@pytest.mark.parametrize("columns", [30, 60, 120])
def test_the_story_fits_the_terminal_and_nothing_is_cut(
    run: Run, eventful: UUID, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setattr(output, "WIDE_COLUMNS", columns)
    ran = run("payouts", "show", eventful)
    assert ran.code == 0
    story = ran.out.split("\n\n", 1)[1]
    assert max(len(line) for line in story.splitlines()) <= columns
    squeezed = "".join(story.split())
    assert attempt_key(eventful, 2) in squeezed
    assert "hold.captured" in squeezed


def test_scripts_get_the_same_story(run: Run, eventful: UUID) -> None:
    told = run("payouts", "show", eventful, "--json").json
    assert told["payout"]["state"] == "returned"
    assert told["next"] == "nothing: it has ended"
    assert [one["attempt_no"] for one in told["attempts"]] == [1, 2]
    assert {one["kind"] for one in told["timeline"]} == {
        "job", "webhook", "attempt", "move", "note", "ledger", "limit", "audit", "news", "finding",
    }  # fmt: skip


def test_a_bad_id_is_told_and_exits_with_2(run: Run, histories: Histories) -> None:
    unknown = uuid4()
    assert run("payouts", "show", unknown).err == f"error: no payout {unknown}\n"
    assert run("payouts", "show", unknown).code == 2
    broken = run("payouts", "show", "po_123")
    assert (broken.code, "'po_123' is not a valid UUID" in broken.err) == (2, True)


def test_a_request_that_made_no_payout_says_why(run: Run, histories: Histories) -> None:
    args = {"owner": "ada", "amount_minor": 5, "currency": "EUR", "provider": "sandbox", "destination": "b",
            "requested_by": "shop"}  # fmt: skip
    [job_id] = accept_jobs(histories.transaction, [job_request("payouts.request", args)], now=histories.now)
    finish(histories, job_id, "refused", '{"code": "limit_exceeded"}')
    ran = run("payouts", "show", job_id)
    assert ran.code == 2
    assert "its request is refused (limit_exceeded); see: ledgerbeat jobs show" in ran.err


def test_the_list_is_filtered_and_goes_on_where_it_ended(run: Run, histories: Histories) -> None:
    made = histories.every_state()

    def ids(*options: str) -> list[str]:
        return [row["id"] for row in run("payouts", "list", "--json", *options).json]

    newest_first = sorted((str(one) for one in made.values()), reverse=True)
    assert ids() == newest_first
    assert ids("--state", "paid", "--state", "failed") == sorted(
        [str(made["paid"]), str(made["failed"])], reverse=True
    )
    assert ids("--limit", "3") == newest_first[:3]
    assert ids("--limit", "3", "--before", newest_first[2]) == newest_first[3:6]
    assert ids("--tenant", "globex") == ids("--owner", "bob") == ids("--provider", "stripe") == []
    assert ids("--owner", "ada", "--provider", "sandbox", "--tenant", "acme") == newest_first
    assert ids("--newer-than", "1h") == []
    assert ids("--older-than", "1h") == newest_first
    shown = run("payouts", "list").out
    assert all(state in shown for state in STATES)


@pytest.fixture
def accounts(transaction: Transaction, histories: Histories) -> Mapping[str, Any]:
    with transaction() as session:
        session.execute(
            text("""INSERT INTO provider_accounts (tenant, provider, adapter) VALUES
                ('acme', 'stripe', 'stripe'), ('globex', 'stripe', 'stripe')""")
        )
    return {}


def paused(transaction: Transaction) -> set[tuple[str, str]]:
    with transaction() as session:
        found = session.execute(
            text("SELECT tenant, provider FROM provider_accounts WHERE paused_at IS NOT NULL")
        )
        return {(row.tenant, row.provider) for row in found}


ACME_SANDBOX, ACME_STRIPE, GLOBEX_STRIPE = ("acme", "sandbox"), ("acme", "stripe"), ("globex", "stripe")


@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize(
    ("which", "stopped"),
    [
        (("--tenant", "acme", "--provider", "stripe"), {ACME_STRIPE}),
        (("--tenant", "acme", "--all"), {ACME_SANDBOX, ACME_STRIPE}),
        (("--provider", "stripe"), {ACME_STRIPE, GLOBEX_STRIPE}),
        (("--all",), {ACME_SANDBOX, ACME_STRIPE, GLOBEX_STRIPE}),
    ],
)
def test_pausing_stops_what_was_named_and_is_audited_once(
    run: Run, transaction: Transaction, which: tuple[str, ...], stopped: set[tuple[str, str]]
) -> None:
    why = ("--actor", "boss", "--reason", "bank is down")
    assert run("providers", "pause", *which, *why).code == 0
    assert paused(transaction) == stopped
    again = run("providers", "pause", *which, *why, "--json").json
    assert [row["changed"] for row in again] == [False] * len(stopped)
    assert "paused by boss" in run("providers", "list").out
    assert run("providers", "resume", *which, *why).code == 0
    assert paused(transaction) == set()
    with transaction() as session:
        events = session.execute(text("SELECT tenant, subject, action FROM audit_events")).all()
    assert sorted(tuple(one) for one in events) == sorted(
        (name, f"provider:{provider}", action)
        for name, provider in stopped
        for action in ("providers.pause", "providers.resume")
    )


@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--reason", "x"), "say which: --provider NAME or --all, and not both"),
        (("--reason", "x", "--all", "--provider", "stripe"), "say which"),
        (("--provider", "stripe"), "Missing option '--reason'"),
        (("--provider", "stripe", "--reason", " "), "must not be blank"),
        (("--provider", "nobody", "--reason", "x"), "no account of provider nobody for tenant any"),
        (("--all", "--tenant", "nobody", "--reason", "x"), "no account of provider any for tenant nobody"),
    ],
)
def test_a_pause_that_is_not_clear_stops_nothing(
    run: Run, transaction: Transaction, arguments: tuple[str, ...], words: str
) -> None:
    ran = run("providers", "pause", *arguments)
    assert (ran.code, words in ran.err) == (2, True), ran.err
    assert paused(transaction) == set()


def test_the_list_of_accounts_counts_what_is_open(run: Run, histories: Histories) -> None:
    histories.every_state()
    [row] = run("providers", "list", "--json").json
    assert (row["in_flight"], row["waiting"], row["in_doubt"]) == (1, 2, 1)
    assert run("providers", "list", "--tenant", "globex", "--json").json == []
    with histories.transaction() as session:
        at = histories.now + timedelta(minutes=1)
        session.execute(
            text("UPDATE provider_accounts SET breaker = 'open', breaker_code = 'timeout', probe_at = :at"),
            {"at": at},
        )
    assert "open (timeout), probe" in run("providers", "list").out
