"""The answers of the first screen: is it clean, how much money is in question, what comes first. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from models.reconciliation.tables import FINDING_KINDS
from tasks.reconciliation.report.facts import WORST_FIRST, FindingGroup, RunFacts

Tone = Literal["good", "look", "bad"]

GRAVE = ("critical", "high")

AGES = (
    ("new, under 1 day", timedelta(days=1)),
    ("1 to 3 days", timedelta(days=3)),
    ("3 to 7 days", timedelta(days=7)),
    ("over 7 days", timedelta.max),
)
"""Name, and the age at which the next begins."""


@dataclass(frozen=True, slots=True)
class Verdict:
    tone: Tone
    title: str
    explanation: str


@dataclass(frozen=True, slots=True)
class InQuestion:
    """The open findings of one currency: how many, and the sum of their absolute amounts."""

    currency: str
    amount_minor: int
    findings: int


@dataclass(frozen=True, slots=True)
class KindSummary:
    """The open findings of one kind. `by_age` runs along AGES; `lines` are the kinds of movements that they are about,
    the one with the most first."""

    kind: str
    severity: str
    findings: int
    oldest_at: datetime
    by_age: tuple[int, ...]
    in_question: tuple[InQuestion, ...]
    lines: tuple[str, ...] = ()


def verdict(facts: RunFacts) -> Verdict:
    """One sentence, and what it rests on."""
    found = sum(group.findings for group in open_groups(facts))
    broken = sum(1 for check in facts.invariants if check.broken)
    if facts.state == "failed":
        return Verdict(
            "bad", "The run failed", "Nothing was concluded: money may be missing without a finding."
        )
    if facts.state == "truncated":
        return Verdict(
            "bad", "The provider's records are incomplete",
            "The feed is far shorter than it should be, so no finding was opened and none was closed.",
        )  # fmt: skip
    if found or broken:
        grave = broken or any(group.severity in GRAVE for group in open_groups(facts))
        title = (
            f"{found:,} open finding{'s' if found != 1 else ''}" if found else "The books are out of order"
        )
        checks = f"{broken} check{'s' if broken != 1 else ''} of the books failed. " if broken else ""
        return Verdict(
            "bad" if grave else "look", title, checks + "Everything else matches or is not due yet."
        )
    if facts.counts.bad_rows:
        return Verdict(
            "look", "No findings, but rows that could not be read",
            "What stands in these rows was compared with nothing.",
        )  # fmt: skip
    return Verdict("good", "Clean", "Provider and ledger agree on everything that is due.")


def open_groups(facts: RunFacts) -> Iterator[FindingGroup]:
    """Every open finding, listed or only counted."""
    for one in facts.findings:
        if one.is_open:
            amount = None if one.amount_minor is None else abs(one.amount_minor)
            elsewhere = (amount or 0) if one.told_elsewhere else 0
            yield FindingGroup(
                one.kind, one.severity, 1, one.first_seen_at, amount, one.currency, elsewhere, one.line
            )
    yield from facts.more


def in_question_once(facts: RunFacts) -> tuple[InQuestion, ...]:
    """Of all open findings, per currency: money that two of them are about counts once."""
    return in_question(
        replace(group, amount_minor=(group.amount_minor or 0) - group.told_elsewhere_minor)
        if group.told_elsewhere_minor
        else group
        for group in open_groups(facts)
    )


def in_question(groups: Iterable[FindingGroup]) -> tuple[InQuestion, ...]:
    """Per currency, the one with the most findings first. Findings without an amount are in none."""
    amounts: dict[str, int] = defaultdict(int)
    findings: dict[str, int] = defaultdict(int)
    for group in groups:
        if group.currency is not None:
            amounts[group.currency] += group.amount_minor or 0
            findings[group.currency] += group.findings
    order = sorted(findings, key=lambda currency: (-findings[currency], currency))
    return tuple(InQuestion(currency, amounts[currency], findings[currency]) for currency in order)


def kinds(facts: RunFacts) -> tuple[KindSummary, ...]:
    """The kinds that have open findings, what to do first at the top: severity, then how many."""
    groups = defaultdict(list)
    for group in open_groups(facts):
        groups[group.kind].append(group)
    found = [summarise(kind, groups[kind], facts.finished_at) for kind in FINDING_KINDS if kind in groups]
    return tuple(sorted(found, key=lambda one: (WORST_FIRST.index(one.severity), -one.findings)))


def summarise(kind: str, groups: list[FindingGroup], now: datetime) -> KindSummary:
    by_age = [0] * len(AGES)
    for group in groups:
        by_age[age_bracket(now - group.first_seen_at)] += group.findings
    return KindSummary(
        kind=kind,
        severity=min((group.severity for group in groups), key=WORST_FIRST.index),
        findings=sum(by_age),
        oldest_at=min(group.first_seen_at for group in groups),
        by_age=tuple(by_age),
        in_question=in_question(groups),
        lines=lines_of(groups),
    )


def lines_of(groups: Iterable[FindingGroup]) -> tuple[str, ...]:
    many: Counter[str] = Counter()
    for group in groups:
        many[group.line or ""] += group.findings
    return tuple(line for line, _ in sorted(many.items(), key=lambda one: (-one[1], one[0])))


def age_bracket(age: timedelta) -> int:
    """Index into AGES; what seems to come from the future is new."""
    return next(index for index, (_, until) in enumerate(AGES) if age < until)
