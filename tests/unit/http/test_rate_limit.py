"""The token bucket of a tenant."""

from dataclasses import dataclass

import pytest

from worker.http.limits import RateLimit
from worker.http.problems import Refusal
from worker.settings import TenantSettings


@dataclass
class FakeClock:
    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


def tenant(rate: float, name: str = "acme") -> TenantSettings:
    return TenantSettings(name=name, rate_limit_per_second=rate)


def refused_for(limit: RateLimit, who: TenantSettings) -> int:
    with pytest.raises(Refusal) as caught:
        limit.take(who)
    assert caught.value.kind.code == "rate_limited"
    return int(caught.value.headers["Retry-After"])


def test_a_burst_of_twice_the_rate_is_let_through_and_no_more() -> None:
    limit = RateLimit(FakeClock())
    for _ in range(20):
        limit.take(tenant(10))
    assert refused_for(limit, tenant(10)) == 1


def test_time_brings_tokens_back_up_to_the_burst() -> None:
    clock = FakeClock()
    limit = RateLimit(clock)
    for _ in range(20):
        limit.take(tenant(10))
    clock.seconds += 0.1
    limit.take(tenant(10))
    assert refused_for(limit, tenant(10)) == 1
    clock.seconds += 3600
    for _ in range(20):
        limit.take(tenant(10))
    assert refused_for(limit, tenant(10)) == 1


def test_a_slow_rate_says_how_long_to_wait() -> None:
    limit = RateLimit(FakeClock())
    limit.take(tenant(0.1))
    assert refused_for(limit, tenant(0.1)) == 10


def test_tenants_do_not_share_a_bucket() -> None:
    limit = RateLimit(FakeClock())
    limit.take(tenant(0.5))
    refused_for(limit, tenant(0.5))
    limit.take(tenant(0.5, "globex"))


def test_a_refusal_costs_no_token() -> None:
    clock = FakeClock()
    limit = RateLimit(clock)
    limit.take(tenant(1))
    limit.take(tenant(1))
    for _ in range(50):
        refused_for(limit, tenant(1))
    clock.seconds += 1
    limit.take(tenant(1))
