"""Nudges happen elsewhere: gathered, and never in anyone's way."""

import threading
from collections.abc import Collection

from tests.waiting import until
from worker.http.nudging import NudgeThread


def test_tenants_are_gathered_while_a_nudge_hangs() -> None:
    gate, calls = threading.Event(), list[set[str]]()

    def nudge(tenants: Collection[str]) -> None:
        calls.append(set(tenants))
        gate.wait(60)

    thread = NudgeThread(nudge)
    thread.start()
    thread.hand_over({"acme"})
    until(lambda: calls)
    for n in range(1000):
        thread.hand_over({f"tenant-{n % 3}"})
    assert calls == [{"acme"}], "handing over waits for nothing"
    gate.set()
    until(lambda: len(calls) == 2)
    thread.stop()
    assert calls == [{"acme"}, {"tenant-0", "tenant-1", "tenant-2"}]


def test_a_nudge_that_fails_is_not_the_last() -> None:
    calls: list[set[str]] = []

    def nudge(tenants: Collection[str]) -> None:
        calls.append(set(tenants))
        raise ConnectionError

    thread = NudgeThread(nudge)
    thread.start()
    thread.hand_over({"acme"})
    until(lambda: calls)
    thread.hand_over({"globex"})
    until(lambda: len(calls) == 2)
    thread.stop()
    assert calls == [{"acme"}, {"globex"}]


def test_stopping_sends_what_was_gathered_and_ends() -> None:
    calls: list[set[str]] = []
    thread = NudgeThread(lambda tenants: calls.append(set(tenants)))
    thread.hand_over({"acme"})
    thread.start()
    thread.stop()
    assert calls == [{"acme"}]
