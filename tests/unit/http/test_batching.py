"""Sharing a commit: together, but each with a fate of its own."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
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


Before = Callable[[list[str]], Awaitable[None]]


async def at_once(_: list[str]) -> None:
    """A transaction that takes no time."""


def pause(seconds: float) -> Before:
    return lambda _: asyncio.sleep(seconds)


class Ledger:
    """A writer: one list of keys per transaction. `before` is awaited inside each, and may refuse or hang."""

    def __init__(self, before: Before = at_once) -> None:
        self.before = before
        self.begun = 0
        self.transactions: list[list[str]] = []

    async def __call__(self, submissions: Sequence[Submission], now: datetime) -> list[Recorded]:
        assert now.tzinfo is not None
        keys = [key_of(one) for one in submissions]
        self.begun += 1
        await self.before(keys)
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


async def soon(happened: Callable[[], bool]) -> None:
    """Lets the others go on until it has happened."""
    async with asyncio.timeout(60):
        while not happened():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.001)


@asynccontextmanager
async def batching(ledger: Ledger, *, stop_seconds: float = 1, **options: Any) -> AsyncIterator[Batcher]:
    """A batcher with one writer, or as the options say."""
    batcher = Batcher(ledger, **{"committed": nothing, "writers": 1, **options})
    batcher.start()
    yield batcher
    await batcher.stop(stop_seconds)


def run(ledger: Ledger, keys: Sequence[str], **options: Any) -> tuple[list[str], list[str]]:
    """The answers, and the keys that were said to be committed."""
    committed: list[str] = []

    async def story() -> list[str]:
        told = {"committed": lambda done: committed.extend(map(key_of, done))}
        async with batching(ledger, **{**told, **options}) as batcher:
            return await submit_all(batcher, keys)

    return asyncio.run(story()), committed


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
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("error", [ValueError("bad"), RuntimeError("bug")])
def test_a_bad_request_fails_alone(error: Exception) -> None:
    async def before(keys: list[str]) -> None:
        if "k7" in keys:
            raise error

    ledger = Ledger(before)
    answers, committed = run(ledger, numbered(50))
    assert answers == ["refused" if key == "k7" else key for key in numbered(50)]
    assert set(committed) == ledger.keys == set(numbered(50)) - {"k7"}


def test_nothing_is_said_to_be_committed_before_it_is() -> None:
    order: list[str] = []

    async def before(keys: list[str]) -> None:
        order.append("write")

    run(Ledger(before), ["a"], committed=lambda _: order.append("committed"))
    assert order == ["write", "committed"]


def test_a_writer_survives_what_goes_wrong_after_a_commit() -> None:
    broken = [True]

    def committed(_: object) -> None:
        if broken.pop():
            broken.append(False)
            raise ValueError("bug")

    async def story() -> list[str]:
        async with batching(Ledger(), committed=committed) as batcher:
            return [*await submit_all(batcher, ["a"]), *await submit_all(batcher, ["b"])]

    assert asyncio.run(asyncio.wait_for(story(), 30)) == ["a", "b"]


def test_a_writer_survives_what_is_no_ordinary_error() -> None:
    class Fatal(BaseException):
        """Not an Exception, as those are that end a thread or a task."""

    async def before(keys: list[str]) -> None:
        if keys == ["a"]:
            raise Fatal

    async def story() -> list[str]:
        async with batching(Ledger(before)) as batcher:
            return [*await submit_all(batcher, ["a"]), *await submit_all(batcher, ["b"])]

    assert asyncio.run(asyncio.wait_for(story(), 30)) == ["refused", "b"]


def test_no_answer_is_given_before_the_transaction_is_over() -> None:
    async def story() -> None:
        gate = asyncio.Event()
        ledger = Ledger(lambda _: _passed(gate))
        async with batching(ledger, writers=2) as batcher:
            asked = asyncio.ensure_future(submit_all(batcher, numbered(5)))
            await soon(lambda: ledger.begun > 0)
            assert not asked.done()
            gate.set()
            assert await asked == numbered(5)

    asyncio.run(story())


async def _passed(gate: asyncio.Event) -> None:
    await gate.wait()


def test_without_a_database_all_are_told_at_once() -> None:
    calls: list[int] = []

    async def before(keys: list[str]) -> None:
        calls.append(len(keys))
        await asyncio.sleep(0.3)
        raise Unreachable

    started = time.monotonic()
    answers, committed = run(Ledger(before), numbered(1000))
    assert set(answers) == {"refused"}
    assert committed == []
    assert time.monotonic() - started < 60
    assert len(calls) <= 3


def test_it_goes_on_after_the_database_is_back() -> None:
    down = [True]

    async def before(keys: list[str]) -> None:
        if down[0]:
            raise Unreachable

    async def story() -> tuple[list[str], list[str]]:
        async with batching(Ledger(before), writers=2) as batcher:
            first = await submit_all(batcher, ["a", "b"])
            down[0] = False
            return first, await submit_all(batcher, ["a", "b"])

    assert asyncio.run(story()) == (["refused", "refused"], ["a", "b"])


def test_a_full_queue_refuses_at_once() -> None:
    async def story() -> list[str]:
        gate = asyncio.Event()
        ledger = Ledger(lambda _: _passed(gate))
        async with batching(ledger, queue_max=10) as batcher:
            first = asyncio.ensure_future(submit_all(batcher, ["taken"]))
            await soon(lambda: ledger.begun == 1)
            waiting = asyncio.ensure_future(submit_all(batcher, numbered(10)))
            await soon(lambda: batcher.waiting() == 10)
            extra = await submit_all(batcher, ["too", "many"])
            gate.set()
            return [*await first, *await waiting, *extra]

    assert asyncio.run(story()) == ["taken", *numbered(10), "refused", "refused"]


def test_a_wait_is_bounded_and_what_nobody_waits_for_is_not_written() -> None:
    ledger = Ledger()

    async def story() -> list[str]:
        gate = asyncio.Event()
        ledger.before = lambda _: _passed(gate)
        async with batching(ledger, wait_seconds_max=0.2) as batcher:
            hanging = asyncio.ensure_future(submit_all(batcher, ["taken"]))
            await soon(lambda: ledger.begun == 1)
            waiting = await submit_all(batcher, ["given up"])
            gate.set()
            return [*await hanging, *waiting]

    assert asyncio.run(story()) == ["refused", "refused"]
    assert "given up" not in ledger.keys


def test_each_wait_has_its_own_end() -> None:
    """The alarm of those that came first is set anew for those that came after them."""

    async def story() -> list[list[str]]:
        async with batching(Ledger(lambda _: _passed(asyncio.Event())), wait_seconds_max=0.2) as batcher:
            asked = []
            for key in numbered(4):
                asked.append(asyncio.ensure_future(submit_all(batcher, [key])))
                await asyncio.sleep(0.07)
            return list(await asyncio.wait_for(asyncio.gather(*asked), 30))

    assert asyncio.run(story()) == [["refused"]] * 4


def test_who_stops_listening_is_not_written() -> None:
    ledger = Ledger()

    async def story() -> None:
        gate = asyncio.Event()
        ledger.before = lambda _: _passed(gate)
        async with batching(ledger) as batcher:
            first = asyncio.ensure_future(submit_all(batcher, ["taken"]))
            await soon(lambda: ledger.begun == 1)
            leaving = asyncio.ensure_future(batcher.submit(submission("gone")))
            await soon(lambda: batcher.waiting() == 1)
            leaving.cancel()
            gate.set()
            await first

    asyncio.run(story())
    assert ledger.keys == {"taken"}


def test_stopping_writes_what_waits() -> None:
    async def story() -> list[str]:
        ledger = Ledger(pause(0.01))
        async with batching(ledger, stop_seconds=60) as batcher:
            answers = asyncio.ensure_future(submit_all(batcher, numbered(300)))
            await soon(lambda: ledger.begun > 0)
        return await answers

    assert asyncio.run(story()) == numbered(300)


def test_stopping_does_not_wait_for_what_hangs() -> None:
    async def story() -> None:
        ledger = Ledger(lambda _: _passed(asyncio.Event()))
        batcher = Batcher(ledger, committed=nothing)
        batcher.start()
        asked = asyncio.ensure_future(submit_all(batcher, ["a"]))
        await soon(lambda: ledger.begun == 1)
        await batcher.stop(0.1)
        asked.cancel()

    asyncio.run(asyncio.wait_for(story(), 30))
