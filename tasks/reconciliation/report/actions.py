"""What to do first, in order. Pure."""

from dataclasses import dataclass

from tasks.reconciliation.report.advice import advice
from tasks.reconciliation.report.facts import RunFacts
from tasks.reconciliation.report.summary import InQuestion, KindSummary, kinds
from tasks.reconciliation.report.words import KINDS

ACTIONS_MAX = 4


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do; `anchor` is where the page tells more, `command` what to type."""

    title: str
    text: str
    anchor: str | None = None
    command: str | None = None
    in_question: tuple[InQuestion, ...] = ()


def actions(facts: RunFacts) -> tuple[Action, ...]:
    """At most ACTIONS_MAX; empty when there is nothing to do."""
    found = [*rerunning(facts), *mending_books(facts), *looking(facts), *reading_rows(facts)]
    return tuple(found[:ACTIONS_MAX])


def rerunning(facts: RunFacts) -> list[Action]:
    if facts.state == "done":
        return []
    why = "Ask the provider for the complete records, then run this night again."
    if facts.state == "failed":
        why = "Mend what stopped it, then run this night again; a second run does no harm."
    return [Action("Run this night again", why, command=rerun(facts))]


def rerun(facts: RunFacts) -> str:
    return (
        f"ledgerbeat reconcile --tenant {facts.tenant} --provider {facts.provider}"
        f" --date {facts.business_date.isoformat()}"
    )


def mending_books(facts: RunFacts) -> list[Action]:
    broken = [check for check in facts.invariants if check.broken]
    return [Action(f"Mend the books: {check.name}", check.remedy, "checks") for check in broken[:1]]


def looking(facts: RunFacts) -> list[Action]:
    return [
        Action(title(kind), advice(kind.kind, kind.lines), kind.kind, in_question=kind.in_question)
        for kind in kinds(facts)
        if kind.kind != "invariant_broken" or not any(check.broken for check in facts.invariants)
    ]


def title(kind: KindSummary) -> str:
    return f"{KINDS[kind.kind].title}: {kind.findings:,}"


def reading_rows(facts: RunFacts) -> list[Action]:
    if not (many := facts.counts.bad_rows):
        return []
    text = "Have them corrected at the provider, or mend the column map; then run this night again."
    return [Action(f"Rows that could not be read: {many:,}", text, "bad-rows")]
