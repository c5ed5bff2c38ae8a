"""Sharing a commit: together, but each with a fate of its own."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import uuid4

import pytest

from models.jobs.accept import Accepted, JobRequest
from worker.http.batching import BATCH_MAX, Batcher, NotRecorded, Unreachable
from worker.http.recording import Recorded, Submission


def submission(key: str) -> Submission:
    return Submission((JobRequest("acme", "wallets.credit", "app", key, {}),))


def key_of(submission: Submission) -> str:
    return submission.requests[0].idempotency_key


def nothing(_: object) -> None:
    """What is done when there is nothing to do."""


def pause(seconds: float) -> Callable[[list[str]], None]:
    return lambda _: time.sleep(seconds)


def until_set(gate: threading.Event) -> Callable[[list[str]], None]:
    def wait(_: list[str]) -> None:
        gate.wait(5)

    return wait


class Ledger:
    """A writer: one list of keys per transaction. `before` is called inside each, and may refuse or hang."""

    def __init__(self, before: Callable[[list[str]], None] = nothing) -> None:
        self.before = before
        self.transactions: list[list[str]] = []

    def __call__(self, submissions: Sequence[Submission], now: datetime) -> list[Recorded]:
        assert now.tzinfo is not None
        keys = [key_of(one) for one in submissions]
        self.before(keys)
        self.transactions.append(keys)
        return [Recorded((Accepted(uuid4(), key, "queued", duplicate=False),)) for key in keys]

    @property
    def keys(self) -> set[str]:
        return {key for transaction in self.transactions for key in transaction}


async def submit_all(batcher: Batcher, keys: Sequence[str]) -> list[str]:
    """The name in each answer, or "refused"."""

    async def one(key: str) -> str:
        try:
            answer = (await batcher.submit(submission(key))).answers[0]
        except NotRecorded:
            return "refused"
        assert isinstance(answer, Accepted)
        return answer.name

    return await asyncio.gather(*(one(key) for key in keys))


def run(ledger: Ledger, keys: Sequence[str], **options: float) -> tuple[list[str], list[str]]:
    """The answers, and the keys that were said to be committed."""
    committed: list[str] = []
    batcher = Batcher(
        ledger,
        committed=lambda done: committed.extend(map(key_of, done)),
        threads=int(options.get("threads", 1)),
        queue_max=int(options.get("queue_max", 2000)),
        wait_seconds_max=options.get("wait_seconds_max", 5.0),
    )
    batcher.start()
    try:
        return asyncio.run(submit_all(batcher, keys)), committed
    finally:
        batcher.stop(1)


def numbered(count: int) -> list[str]:
    return [f"k{n}" for n in range(count)]


def test_each_gets_its_own_answer_and_many_share_a_transaction() -> None:
    ledger = Ledger(pause(0.02))
    keys = numbered(250)
    answers, committed = run(ledger, keys)
    assert answers == keys
    assert set(committed) == set(keys)
    assert len(ledger.transactions) <= 10
    assert max(map(len, ledger.transactions)) == BATCH_MAX


def test_a_single_request_does_not_wait_for_company() -> None:
    started = time.monotonic()
    run(Ledger(), ["alone"])
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("error", [ValueError("bad"), RuntimeError("bug")])
def test_a_bad_request_fails_alone(error: Exception) -> None:
    def before(keys: list[str]) -> None:
        if "k7" in keys:
            raise error

    ledger = Ledger(before)
    answers, committed = run(ledger, numbered(50))
    assert answers == ["refused" if key == "k7" else key for key in numbered(50)]
    assert set(committed) == ledger.keys == set(numbered(50)) - {"k7"}


def test_nothing_is_said_to_be_committed_before_it_is() -> None:
    order: list[str] = []

    def before(keys: list[str]) -> None:
        order.append("write")

    batcher = Batcher(Ledger(before), committed=lambda _: order.append("committed"), threads=1)
    batcher.start()
    asyncio.run(submit_all(batcher, ["a"]))
    batcher.stop(1)
    assert order == ["write", "committed"]


def test_without_a_database_all_are_told_at_once() -> None:
    calls: list[int] = []

    def before(keys: list[str]) -> None:
        calls.append(len(keys))
        time.sleep(0.3)
        raise Unreachable

    started = time.monotonic()
    answers, committed = run(Ledger(before), numbered(1000))
    assert set(answers) == {"refused"}
    assert committed == []
    assert time.monotonic() - started < 60
    assert len(calls) <= 3


def test_it_goes_on_after_the_database_is_back() -> None:
    down = threading.Event()
    down.set()

    def before(keys: list[str]) -> None:
        if down.is_set():
            raise Unreachable

    async def story(batcher: Batcher) -> tuple[list[str], list[str]]:
        first = await submit_all(batcher, ["a", "b"])
        down.clear()
        return first, await submit_all(batcher, ["a", "b"])

    batcher = Batcher(Ledger(before), committed=nothing, threads=2)
    batcher.start()
    assert asyncio.run(story(batcher)) == (["refused", "refused"], ["a", "b"])
    batcher.stop(1)


def test_a_full_queue_refuses_at_once() -> None:
    gate = threading.Event()
    ledger = Ledger(until_set(gate))

    async def story(batcher: Batcher) -> list[str]:
        first = asyncio.ensure_future(submit_all(batcher, ["taken"]))
        await asyncio.sleep(0.05)
        waiting = asyncio.ensure_future(submit_all(batcher, numbered(10)))
        await asyncio.sleep(0.05)
        assert batcher.waiting() == 10
        started = time.monotonic()
        extra = await submit_all(batcher, ["too", "many"])
        assert time.monotonic() - started < 5
        gate.set()
        return [*await first, *await waiting, *extra]

    batcher = Batcher(ledger, committed=nothing, threads=1, queue_max=10)
    batcher.start()
    assert asyncio.run(story(batcher)) == ["taken", *numbered(10), "refused", "refused"]
    batcher.stop(1)


def test_a_wait_is_bounded_and_what_nobody_waits_for_is_not_written() -> None:
    gate = threading.Event()
    ledger = Ledger(until_set(gate))

    async def story(batcher: Batcher) -> list[str]:
        hanging = asyncio.ensure_future(submit_all(batcher, ["taken"]))
        await asyncio.sleep(0.05)
        waiting = await submit_all(batcher, ["given up"])
        gate.set()
        return [*await hanging, *waiting]

    batcher = Batcher(ledger, committed=nothing, threads=1, wait_seconds_max=0.2)
    batcher.start()
    assert asyncio.run(story(batcher)) == ["refused", "refused"]
    batcher.stop(1)
    assert "given up" not in ledger.keys


def test_stopping_writes_what_waits() -> None:
    ledger = Ledger(pause(0.01))

    async def story(batcher: Batcher) -> list[str]:
        answers = asyncio.ensure_future(submit_all(batcher, numbered(300)))
        await asyncio.sleep(0.005)
        await asyncio.to_thread(batcher.stop, 5)
        return await answers

    batcher = Batcher(ledger, committed=nothing, threads=1)
    batcher.start()
    assert asyncio.run(story(batcher)) == numbered(300)
