"""What an answer makes of a payout. Pure: a locked payout and its attempts in, a frozen decision out."""

from dataclasses import replace

from models.payouts.states import DUE_STATES, LIVE_OUTCOMES, NOT_DONE_OUTCOMES
from tasks.payouts.decisions import Case, Decision, doubted, failed, named, not_sent, noted, taken
from tasks.payouts.pacing import LOST
from worker.providers.payouts.port import Answer, Declined, InDoubt, NotSent, Stopped, Submitted


def decide_answer(case: Case, claim_version: int, answer: Answer) -> Decision:
    """What the answer to the call of that claim means now, however long it took.

    Who still has the claim, or would have it had nobody taken it for lost, is believed. Any other can only prove
    that the attempt was done (Submitted); what else it says, the one who sends it now will be told as well.
    """
    if case.payout.claim_version == claim_version and case.payout.state in ("sending", "in_doubt"):
        cause = "answer" if case.payout.state == "sending" else "late_answer"
        return _decide_own(case, answer, cause)
    if isinstance(answer, Submitted):
        return _decide_proof(case, answer)
    return noted(case, "stale_answer", answer.code)


def _decide_own(case: Case, answer: Answer, cause: str) -> Decision:
    match answer:
        case Submitted(object_id, status, code):
            return taken(case, object_id, status, code, cause)
        case Declined(code, retryable, retry_after_seconds):
            return failed(case, "declined", code, cause, retryable, retry_after_seconds)
        case NotSent(code, retry_after_seconds):
            return not_sent(case, code, cause, retry_after_seconds)
        case Stopped(code):
            return not_sent(case, code, cause, None)
        case InDoubt(code):
            return doubted(case, code, cause)


def _decide_proof(case: Case, answer: Submitted) -> Decision:
    attempt, payout = case.attempt, case.payout
    if attempt.object_id not in (None, answer.object_id):
        detail = {"attempt_no": attempt.attempt_no, "object_id": answer.object_id}
        heard = noted(case, "stale_answer", answer.status)
        return replace(heard, finding="duplicate_at_provider", detail=detail)
    if case.is_alive and payout.state in ("sending", "in_doubt", "submitted", *DUE_STATES):
        return taken(case, answer.object_id, answer.status, answer.code, "late_answer")
    if attempt.outcome in NOT_DONE_OUTCOMES and payout.state in DUE_STATES and answer.status != "failed":
        return _done_after_all(case, answer)
    if attempt.outcome in ("submitted", "paid", "returned") or attempt.object_id == answer.object_id:
        known = replace(attempt, object_id=attempt.object_id or answer.object_id)
        return Decision(known, named(payout, answer.object_id), note="answer", code=answer.status)
    detail = {"attempt_no": attempt.attempt_no, "outcome": attempt.outcome, "object_id": answer.object_id}
    return replace(noted(case, "stale_answer", answer.status), finding="status_mismatch", detail=detail)


def _done_after_all(case: Case, answer: Submitted) -> Decision:
    """We took it for not done, and nothing was sent since: to send another would pay twice."""
    waiting = next((one for one in case.attempts if one.outcome in LIVE_OUTCOMES), None)
    given_up = waiting and replace(waiting, outcome="abandoned", finished_at=case.now)
    done = taken(case, answer.object_id, answer.status, answer.code, "late_answer")
    return replace(done, given_up=given_up)


def lose(case: Case) -> Decision:
    """The claim has run out, and nobody has said what became of the call."""
    return doubted(case, LOST, LOST)
