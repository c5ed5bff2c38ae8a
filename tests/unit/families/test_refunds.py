"""How much stands refunded, from a total and from single refunds."""

import pytest

from tasks.webhooks.facts import Part
from tasks.webhooks.refunds import RefundTotal, refunded


def part(amount: int, made: int | None = None, failed: int | None = None, *, is_over: bool = False) -> Part:
    return Part(amount, "pay-1", reversed=is_over or failed is not None, made_at=made, reversed_at=failed)


def total(minor: int, second: int, *, at_its_end: bool = False) -> RefundTotal:
    return RefundTotal(minor, second * 2 + at_its_end)


@pytest.mark.parametrize(
    ("reported", "parts", "standing"),
    [
        (None, [part(40), part(30)], 70),
        (None, [part(40), part(30, is_over=True)], 40),
        (total(40, 10), [], 40),
        (total(40, 10), [part(40, made=10)], 40),
        (total(40, 10), [part(40, made=9)], 40),
        (total(40, 10), [part(30, made=11)], 70),
        (total(40, 10), [part(40)], 40),  # it may be the one in the total
        (total(40, 10), [part(40), part(30)], 70),  # the total contains no two
        (total(70, 10), [part(40, made=10), part(30, made=10)], 70),
        (total(40, 10), [part(40, made=10, failed=20)], 0),
        (total(40, 10), [part(40, made=10, failed=10)], 0),  # in the second of the total, and after it
        (total(0, 10, at_its_end=True), [part(40, made=5, failed=10)], 0),
        (total(40, 20), [part(40, made=10, failed=15)], 40),  # another one
        (total(40, 20), [part(40, made=10, failed=15), part(40, made=20)], 40),
        (total(40, 10), [part(40, made=10), part(40, failed=20)], 40),  # the other one explains the total
        (total(40, 10), [part(40, made=9), part(40, failed=20)], 40),
        (total(40, 10), [part(60, made=9), part(40, failed=20)], 40),  # never below what stands
        (total(10, 20), [part(40, made=10), part(10, made=20)], 10),  # the first failed, and nobody said so
        (total(40, 10), [part(30, made=11, failed=12)], 40),
        (RefundTotal(40), [part(40, made=10)], 40),  # as earlier releases stored it, without a time
        (RefundTotal(40), [part(40, made=10, failed=20)], 0),
        (RefundTotal(40), [part(40, made=10, is_over=True)], 0),
        (RefundTotal(40), [part(40, made=10), part(30, made=11)], 70),
    ],
)
def test_what_stands_refunded(reported: RefundTotal | None, parts: list[Part], standing: int) -> None:
    assert refunded(reported, parts) == standing
    assert refunded(reported, parts[::-1]) == standing


@pytest.mark.parametrize(
    ("old", "new", "newest"),
    [
        (total(40, 10), total(70, 20), total(70, 20)),
        (total(70, 10), total(40, 20), total(40, 20)),
        (total(40, 10), total(70, 10), total(70, 10)),
        (total(70, 10), total(0, 10, at_its_end=True), total(0, 10, at_its_end=True)),
    ],
)
def test_the_newest_total_is_believed(old: RefundTotal, new: RefundTotal, newest: RefundTotal) -> None:
    assert new.newest(old) == old.newest(new) == newest
    assert new.newest(None) == new


@pytest.mark.parametrize(("known", "minor"), [(None, 10), (0, 50), (20, 30), (90, 0)])
def test_a_released_rest_is_in_no_total(known: int | None, minor: int) -> None:
    assert RefundTotal(50, 20, released=40).net_of(known).minor == minor
