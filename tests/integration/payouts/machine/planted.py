"""Would the payout machine notice? Each test breaks one rule of the code on purpose, and demands that it does.

By hand, because it takes minutes and luck: `pytest tests/integration/payouts/machine/planted.py`.
Two take more luck than 400 examples have: `record_without_the_claim_version` and `cancel_what_a_frozen_worker_may_send`
need two frozen workers, or one and a person, on the same payout. test_attempts.py notices the one, test_commands.py the
other.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from models.ledger.holds import release
from models.payouts import moving, rows
from tasks.payouts import attempts, decisions, events, pacing, policy, resolving, sightings, verdicts
from tests.integration.payouts.machine.test_machine import Begin, begin, desks, locks, run
from worker.providers.payouts.port import Declined, InDoubt

__all__ = ["begin", "desks", "locks"]

EXAMPLES = 400
Plant = Callable[[pytest.MonkeyPatch], None]


def new_key_after_a_timeout(patch: pytest.MonkeyPatch) -> None:
    decide = verdicts.decide_answer

    def broken(case: Any, claim_version: int, answer: Any) -> Any:
        declined = Declined(answer.code, retryable=True) if isinstance(answer, InDoubt) else answer
        return decide(case, claim_version, declined)

    patch.setattr(attempts, "decide_answer", broken)


def record_without_the_claim_version(patch: pytest.MonkeyPatch) -> None:
    decide = verdicts.decide_answer
    patch.setattr(
        attempts, "decide_answer", lambda case, _, said: decide(case, case.payout.claim_version, said)
    )


def release_the_hold_in_doubt(patch: pytest.MonkeyPatch) -> None:
    settle = moving._posting

    def broken(one: moving.Move, occurred_at: Any) -> Any:
        if one.after.state == "in_doubt":
            return release(one.before.hold, occurred_at=occurred_at)
        return settle(one, occurred_at)

    patch.setattr(moving, "_posting", broken)


def approve_by_oneself_in_capitals(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(policy, "is_same_person", lambda one, other: one == other)


def give_the_limit_back_in_doubt(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(moving, "GIVEN_BACK_STATES", ("in_doubt", *moving.GIVEN_BACK_STATES))


def believe_not_found_at_once(patch: pytest.MonkeyPatch) -> None:
    decide = sightings.decide_sighting

    def broken(case: Any, sighting: Any, *, asked_at: Any, settle_seconds: float) -> Any:
        return decide(case, sighting, asked_at=asked_at, settle_seconds=0)

    patch.setattr(resolving, "decide_sighting", broken)


def new_key_after_a_lost_claim(patch: pytest.MonkeyPatch) -> None:
    absent = sightings._decide_absence

    def broken(case: Any, asked_at: Any, settle_seconds: float) -> Any:
        forgetful = [replace(one, error_code=None) for one in case.attempts]
        return absent(replace(case, attempts=forgetful), asked_at, settle_seconds)

    patch.setattr(sightings, "_decide_absence", broken)


def cancel_what_a_frozen_worker_may_send(patch: pytest.MonkeyPatch) -> None:
    cancel = policy.cancel
    patch.setattr(
        policy, "cancel", lambda payout, live: cancel(payout, live and replace(live, error_code=None))
    )


def send_while_paused(patch: pytest.MonkeyPatch) -> None:
    def usable(account: Any) -> Any:
        return account and replace(account, paused_at=None, tenant_paused=False)

    may_claim, places = pacing.may_claim, pacing.free_places
    patch.setattr(pacing, "may_claim", lambda account, *rest: may_claim(usable(account), *rest))
    patch.setattr(pacing, "free_places", lambda account, *rest: places(usable(account), *rest))


def send_sooner_than_the_cooldown(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(policy, "backoff_seconds", lambda allowed, _: allowed.payout_cooldown_seconds / 2)


def attempt_without_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(decisions, "is_exhausted", lambda allowed, made: made > allowed.payout_retry_limit + 1)


def take_any_provider_at_its_word(patch: pytest.MonkeyPatch) -> None:
    find = rows.find_attempts

    def broken(session: Any, tenant: str, references: Any, objects: Any = ()) -> Any:
        ours = [("sandbox", name) for _, name in references], [("sandbox", name) for _, name in objects]
        return [replace(one, provider="stripe") for one in find(session, tenant, *ours)] or find(
            session, tenant, references, objects
        )

    patch.setattr(events, "find_attempts", broken)


PLANTED: dict[Plant, str] = {
    new_key_after_a_timeout: "paid twice|money left for",
    record_without_the_claim_version: "paid twice|money left for|verify|is no move|violates",
    release_the_hold_in_doubt: "verify|held money",
    approve_by_oneself_in_capitals: "one person did both",
    give_the_limit_back_in_doubt: "limit exceeded|verify",
    believe_not_found_at_once: "paid twice|money left for",
    new_key_after_a_lost_claim: "paid twice|money left for",
    cancel_what_a_frozen_worker_may_send: "money left for",
    send_while_paused: "sent through a provider that is paused",
    send_sooner_than_the_cooldown: "sent within the cooldown",
    attempt_without_end: "too many attempts",
    take_any_provider_at_its_word: "another provider tells",
}
"""What is broken -> the promise that notices."""


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_the_machine_notices(plant: Plant, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises(Exception, match=PLANTED[plant]) as caught:
        run(begin, examples=EXAMPLES)
    print(f"{plant.__name__}: {str(caught.value)[:120]}")
