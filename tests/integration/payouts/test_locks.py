"""The lock of a payout: one owner at a time, by a token; gone by itself; never waited for; never needed."""

from uuid import uuid4

import redis

from tests.integration.payouts.attempting import *  # noqa: F403 - the fixtures
from worker.locks import PayoutLocks


def test_one_has_it_at_a_time(locks: PayoutLocks) -> None:
    one, other = uuid4(), uuid4()
    with locks.held(one, 30) as first, locks.held(one, 30) as second, locks.held(other, 30) as third:
        assert (first is not None, second, third is not None) == (True, None, True)
        assert first is not None
        assert first.renew()
    with locks.held(one, 30) as again:
        assert again is not None


def test_it_ends_by_itself_and_is_renewed_for_its_whole_time(locks: PayoutLocks, redis_url: str) -> None:
    payout_id = uuid4()
    with redis.Redis.from_url(redis_url) as client, locks.held(payout_id, 30) as lock:
        key = f"ledgerbeat:payout:{payout_id}"
        assert lock is not None
        assert 0 < client.pttl(key) <= 30_000
        client.pexpire(key, 50)
        assert lock.renew()
        assert 1_000 < client.pttl(key) <= 30_000


def test_what_ran_out_and_went_to_another_stays_the_others(locks: PayoutLocks, redis_url: str) -> None:
    payout_id = uuid4()
    with redis.Redis.from_url(redis_url) as client:
        key = f"ledgerbeat:payout:{payout_id}"
        with locks.held(payout_id, 30) as lock:
            assert lock is not None
            client.set(key, "another")
            assert lock.renew() is False
        assert client.get(key) == b"another", "letting go takes nobody else's"


def test_what_was_flushed_is_taken_again(locks: PayoutLocks, redis_url: str) -> None:
    payout_id = uuid4()
    with redis.Redis.from_url(redis_url) as client, locks.held(payout_id, 30) as lock:
        client.flushdb()
        assert lock is not None
        assert lock.renew()
        with locks.held(payout_id, 30) as other:
            assert other is None


def test_without_redis_everybody_has_it() -> None:
    locks, payout_id = PayoutLocks("redis://127.0.0.1:1/0"), uuid4()
    with locks.held(payout_id, 30) as first, locks.held(payout_id, 30) as second:
        assert first is not None
        assert second is not None
        assert first.renew()
    locks.close()
