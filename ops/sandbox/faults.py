"""Faults on order: what they are called, how they are written, and which one a call meets.

A fault is written `NAME[:NUMBER][*COUNT][#TAG]`, such as `decline_retryable:2`, `slow:1.5`, `error_500*3#t7`.
NUMBER belongs to the fault, COUNT is how many calls meet it (each fault has its own default), TAG is free text
that makes a token unique. README.md lists them.
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from ops.sandbox.state import new_id

Kind = Literal["edge", "processing", "webhook"]
Where = Literal["payouts", "deposits", "lookups", "records", "webhooks"]

_GRAMMAR = re.compile(
    r"(?P<name>[a-z0-9_]+)(?::(?P<number>\d{1,6}(?:\.\d{1,3})?))?(?:\*(?P<count>\d{1,6}))?(?:#.*)?"
)
_TOKEN = re.compile(r"(?:^|~)fault:(?P<fault>.+)$")
_ATTEMPT = re.compile(r"[-._:/#]a?\d{1,3}$")


class FaultError(ValueError):
    """The text is not a fault this provider knows; the message says why."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of fault: where it strikes, its number's default (None: required), and for how many calls."""

    kind: Kind
    takes_number: bool = False
    number: float | None = None
    count: int | None = None


RULES: dict[str, Rule] = {
    "timeout_before": Rule("edge", count=1),
    "timeout_after": Rule("edge", count=1),
    "error_500": Rule("edge", count=1),
    "error_500_after": Rule("edge", count=1),
    "garbage": Rule("edge", count=1),
    "rate_limit": Rule("edge", takes_number=True, number=1, count=1),
    "slow": Rule("edge", takes_number=True),
    "slow_before": Rule("edge", takes_number=True),
    "decline_retryable": Rule("processing", takes_number=True, number=1),
    "decline_final": Rule("processing"),
    "paid_then_failed": Rule("processing"),
    "webhook_lost": Rule("webhook"),
    "webhook_duplicate": Rule("webhook", takes_number=True, number=1),
    "webhook_reordered": Rule("webhook"),
    "webhook_late": Rule("webhook", takes_number=True),
}
_WHERE: dict[Kind, tuple[Where, ...]] = {
    "edge": ("payouts", "deposits", "lookups", "records"),
    "processing": ("payouts", "deposits"),
    "webhook": ("webhooks", "payouts", "deposits"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault as understood: `count` None means every call."""

    name: str
    kind: Kind
    number: float
    count: int | None


def parse_fault(text: str) -> Fault:
    """Read `NAME[:NUMBER][*COUNT][#TAG]`. Raises `FaultError`."""
    match = _GRAMMAR.fullmatch(text)
    rule = RULES.get(match["name"]) if match else None
    if match is None or rule is None:
        raise FaultError(f"unknown fault {text!r}; known: {', '.join(RULES)}")
    number = _number(match["name"], rule, match["number"])
    count = int(match["count"]) if match["count"] else rule.count
    if match["name"] == "decline_retryable" and not match["count"]:
        count = int(number)
    return Fault(match["name"], rule.kind, number, count)


def _number(name: str, rule: Rule, text: str | None) -> float:
    if text is None and rule.takes_number and rule.number is None:
        raise FaultError(f"{name} needs a number, such as {name}:2")
    if text is not None and not rule.takes_number:
        raise FaultError(f"{name} takes no number")
    return float(text) if text is not None else rule.number or 0.0


def token_in(text: str) -> str | None:
    """The fault that a destination or a reference asks for: `fault:X`, or an ending `~fault:X`.

    Raises `FaultError` when X is none.
    """
    match = _TOKEN.search(text)
    if match is None:
        return None
    parse_fault(match["fault"])
    return match["fault"]


def without_attempt(reference: str) -> str:
    """A reference without its attempt number (`7f3a-2` -> `7f3a`): attempts of one payout count together."""
    return _ATTEMPT.sub("", reference)


@dataclass(slots=True)
class Scripted:
    """A fault that was posted: `remaining` None means until it is deleted."""

    id: str
    text: str
    fault: Fault
    where: Where
    remaining: int | None

    def view(self) -> dict[str, str | int | None]:
        return {"id": self.id, "fault": self.text, "scope": self.where, "remaining": self.remaining}


class FaultScript:
    """Decides which fault a call meets: its own token first, else the oldest scripted one that fits."""

    def __init__(self) -> None:
        self.scripted: dict[str, Scripted] = {}
        self._hits: Counter[tuple[str, str]] = Counter()

    def add(self, text: str, where: Where | None, count: int | None) -> Scripted:
        """Script a fault for all calls of a scope. Raises `FaultError`."""
        fault = parse_fault(text)
        where = where or _WHERE[fault.kind][0]
        if where not in _WHERE[fault.kind] or (fault.name == "paid_then_failed" and where != "payouts"):
            raise FaultError(f"{fault.name} cannot strike {where}")
        scripted = Scripted(new_id("flt"), text, fault, where, fault.count if count is None else count)
        self.scripted[scripted.id] = scripted
        return scripted

    def remove(self, fault_id: str | None) -> int:
        """Forget one scripted fault, or all; how many there were."""
        ids = list(self.scripted) if fault_id is None else [i for i in (fault_id,) if i in self.scripted]
        for gone in ids:
            del self.scripted[gone]
        return len(ids)

    def take(self, kind: Kind, where: Where, token: str | None, subject: str) -> Fault | None:
        """The fault this call meets, used up by one."""
        return self._from_token(kind, token, subject) or self._from_script(kind, where)

    def _from_token(self, kind: Kind, token: str | None, subject: str) -> Fault | None:
        if token is None:
            return None
        fault = parse_fault(token)
        if fault.kind != kind or (fault.count is not None and self._hits[token, subject] >= fault.count):
            return None
        self._hits[token, subject] += 1
        return fault

    def _from_script(self, kind: Kind, where: Where) -> Fault | None:
        wheres = (where, "webhooks") if kind == "webhook" else (where,)
        for scripted in self.scripted.values():
            if scripted.fault.kind == kind and scripted.where in wheres and scripted.remaining != 0:
                if scripted.remaining is not None:
                    scripted.remaining -= 1
                return scripted.fault
        return None
