"""The jobs of a run, drawn from its seed, with the end that the reference gives each of them.

Each app sends in sequence and moves the money of its own owners only, so the end of a debit is determined although
the apps run side by side. What comes in any order (webhooks, awards, messages) goes to owners who only receive.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from tests.chaos.model import Books, wallet
from tests.chaos.wanted import Door, Told, Wanted

APPS = 8
COURIERS = 4
TIMES_TOLD = 3
PROVIDERS = ("sandbox", "stripe", "adyen")
CURRENCIES = ("EUR", "JPY", "KWD")
LIMIT_MINOR = 1_000_000
DEPOSITS_SHARE = 0.22
MESSAGES_SHARE = 0.06
REASON = "chaos"


@dataclass(frozen=True)
class Mix:
    """Who sends what: apps and the messenger one after another, couriers every webhook three times in all."""

    apps: Sequence[Sequence[Wanted]]
    couriers: Sequence[Sequence[Told]]
    messages: Sequence[Wanted]
    books: Books
    probes: list[Wanted] = field(default_factory=list)

    @property
    def jobs(self) -> list[Wanted]:
        return [*(one for app in self.apps for one in app), *self.messages, *self.probes]

    @property
    def events(self) -> set[Told]:
        return {one for courier in self.couriers for one in courier}

    def probe(self, tenant: str) -> Wanted:
        """One more job, to see how soon it is done."""
        args = {"owner": "probe", "amount_minor": 1, "currency": "EUR", "reason": REASON}
        self.books.move(tenant, f"house:{REASON}", wallet("probe"), "EUR", 1)
        self.probes.append(Wanted(tenant, "wallets.credit", f"probe-{len(self.probes)}", args, "http"))
        return self.probes[-1]


def make_mix(seed: int, jobs: int, tenants: Sequence[str]) -> Mix:
    """Exactly `jobs` jobs for these tenants. The same arguments give the same mix."""
    chance, books = Random(f"mix {seed}"), Books()  # noqa: S311 - repeats, guards nothing
    events, expected = _deposits(chance, books, int(jobs * DEPOSITS_SHARE), tenants)
    messages = [_message(chance, books, n, tenants) for n in range(int(jobs * MESSAGES_SHARE))]
    chance.shuffle(expected)
    by_message, in_sequence = expected[::10], [one for n, one in enumerate(expected) if n % 10]
    messages += [replace(one, door="celery", again=False) for one in by_message]
    chance.shuffle(messages)
    moves = jobs - len(events) - len(messages) - len(in_sequence)
    apps = [
        list(_App(number, chance, books, tenants).send(share, in_sequence[number::APPS]))
        for number, share in enumerate(len(range(number, moves, APPS)) for number in range(APPS))
    ]
    told = events * TIMES_TOLD
    chance.shuffle(told)
    return Mix(apps, [told[number::COURIERS] for number in range(COURIERS)], messages, books)


def _deposits(
    chance: Random, books: Books, many: int, tenants: Sequence[str]
) -> tuple[list[Told], list[Wanted]]:
    """What providers tell of `many` deposits, and the jobs that announce them."""
    events: list[Told] = []
    expected: list[Wanted] = []
    for number in range(many):
        tenant, provider, amount = chance.choice(tenants), chance.choice(PROVIDERS), chance.randint(2, 5000)
        captured = Told(tenant, provider, "captured", f"d{number}", amount, known=number % 50 != 0)
        if captured.known:
            expected.append(_expect(chance, captured, f"payer-{number // 20}", amount))
        fate = chance.random()
        if fate < 0.06:
            events.append(replace(captured, move="failed"))
            continue
        events.append(captured)
        _told(books, captured, f"payer-{number // 20}", amount)
        if fate > 0.7:
            refunded = replace(captured, move="refunded", amount_minor=chance.randint(1, amount))
            events.append(refunded)
            _told(books, captured, f"payer-{number // 20}", -refunded.amount_minor)
    return events, expected


def _told(books: Books, event: Told, owner: str, amount_minor: int) -> None:
    if event.known:
        clearing = f"provider:{event.provider}:clearing"
        books.move(event.tenant, clearing, wallet(owner), "EUR", amount_minor)


def _expect(chance: Random, event: Told, owner: str, amount_minor: int, code: str | None = None) -> Wanted:
    args = {"provider": event.provider, "reference": event.reference, "owner": owner,
            "amount_minor": amount_minor, "currency": "EUR"}  # fmt: skip
    key = f"expect-{event.reference}"
    return Wanted(event.tenant, "deposits.expect", key, args, _door(chance), code, 0, None, _again(chance))


def _message(chance: Random, books: Books, number: int, tenants: Sequence[str]) -> Wanted:
    """A credit by the Celery door, which promises no order."""
    tenant, owner, amount = chance.choice(tenants), f"reader-{chance.randrange(20)}", chance.randint(1, 500)
    books.move(tenant, f"house:{REASON}", wallet(owner), "EUR", amount)
    args = {"owner": owner, "amount_minor": amount, "currency": "EUR", "reason": REASON}
    return Wanted(tenant, "wallets.credit", f"message-{number}", args, "celery")


def _door(chance: Random) -> Door:
    return "sql" if chance.random() < 0.25 else "http"


def _again(chance: Random) -> bool:
    return chance.random() < 0.05


@dataclass
class _App:
    """One app: its own owners, whose money nobody else moves, and perhaps the tenant's policy."""

    number: int
    chance: Random
    books: Books
    tenants: Sequence[str]
    limited: bool = False
    events: int = field(default=0)

    def __post_init__(self) -> None:
        self.tenant = self.tenants[self.number % len(self.tenants)]
        self.currency = CURRENCIES[self.number % len(CURRENCIES)]
        self.owners = [f"player-{self.number}-{n}" for n in range(4)]
        self.kinds = [self.credit, self.credit, self.debit, self.debit, self.transfer]
        self.rare = [self.award, self.policy, self.large_deposit]
        if self.number >= len(self.tenants):
            self.rare = [self.award]  # one app alone sets a tenant's policy

    def send(self, moves: int, expected: Sequence[Wanted]) -> Iterator[Wanted]:
        """Its jobs, in order: `moves` of its own, and between them what it announces for others."""
        order: list[Wanted | None] = [*[None] * moves, *expected]
        self.chance.shuffle(order)
        for number, one in enumerate(order):
            yield one or self._next(f"app-{self.number}-{number}")

    def _next(self, key: str) -> Wanted:
        kinds = self.rare if self.chance.random() < 0.08 else self.kinds
        return self.chance.choice(kinds)(key)

    def credit(self, key: str) -> Wanted:
        owner, amount = self.chance.choice(self.owners), self.chance.randint(1, 1000)
        self.books.move(self.tenant, f"house:{REASON}", wallet(owner), self.currency, amount)
        return self._wallet_job("wallets.credit", key, owner, {"owner": owner, "amount_minor": amount}, True)

    def debit(self, key: str) -> Wanted:
        """Up to half as much again as there is: about a third have too little."""
        owner = self.chance.choice(self.owners)
        amount = self._amount_from(owner)
        moved = self.books.move(self.tenant, wallet(owner), f"house:{REASON}", self.currency, amount)
        return self._wallet_job("wallets.debit", key, owner, {"owner": owner, "amount_minor": amount}, moved)

    def transfer(self, key: str) -> Wanted:
        giver, taker = self.chance.sample(self.owners, 2)
        amount = self._amount_from(giver)
        moved = self.books.move(self.tenant, wallet(giver), wallet(taker), self.currency, amount)
        args = {"from_owner": giver, "to_owner": taker, "amount_minor": amount}
        return self._wallet_job("wallets.transfer", key, giver, args, moved)

    def award(self, key: str) -> Wanted:
        """Every third one tells the last event once more under a key of its own, and adds a place to it."""
        again = self.events % 3 == 2
        self.events += 1
        event = self.events - again
        places = range(1, 5 + again)
        awards: list[dict[str, Any]] = [
            {"owner": f"winner-{place}", "placement": place, "amount_minor": 10 * event + place}
            for place in places
        ]
        for award in awards[4 if again else 0 :]:
            target, amount = wallet(award["owner"]), award["amount_minor"]
            self.books.move(self.tenant, f"house:{REASON}", target, self.currency, amount)
        args = {"event": f"cup-{self.number}-{event}", "awards": awards,
                "currency": self.currency, "reason": REASON}  # fmt: skip
        postings = 1 if again else 4
        return self._wanted("wallets.award", key, args, postings=postings)

    def policy(self, key: str) -> Wanted:
        self.limited = not self.limited
        args = {"daily_deposit_limit_minor": LIMIT_MINOR if self.limited else None,
                "actor": "ops:chaos", "reason": f"change {key}"}  # fmt: skip
        return self._wanted("policies.set", key, args, postings=0)

    def large_deposit(self, key: str) -> Wanted:
        """Larger than the limit alone, so whether it is refused depends on the policies before it only."""
        event = Told(self.tenant, "sandbox", "captured", f"large-{key}", 0)
        code = "limit_exceeded" if self.limited else None
        return replace(_expect(self.chance, event, "large", 2 * LIMIT_MINOR, code), key=key)

    def _amount_from(self, owner: str) -> int:
        return self.chance.randint(1, 1 + self.books.balance(self.tenant, owner, self.currency) * 3 // 2)

    def _wallet_job(self, name: str, key: str, owner: str, args: Mapping[str, Any], moved: bool) -> Wanted:
        args = {**args, "currency": self.currency, "reason": REASON}
        if not moved:
            return self._wanted(name, key, args, code="insufficient_funds", postings=0)
        balance = self.books.balance(self.tenant, owner, self.currency)
        return self._wanted(name, key, args, balance_minor=balance)

    def _wanted(
        self,
        name: str,
        key: str,
        args: Mapping[str, Any],
        *,
        code: str | None = None,
        postings: int = 1,
        balance_minor: int | None = None,
    ) -> Wanted:
        door, again = _door(self.chance), _again(self.chance)
        return Wanted(self.tenant, name, key, args, door, code, postings, balance_minor, again)
