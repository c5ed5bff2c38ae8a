"""A reconciliation run's report: one page for people, JSON and CSV for programs, all from one frozen value."""

from tasks.reconciliation.report.facts import (
    BadRowFacts,
    Both,
    Counts,
    CurrencyTotals,
    FactsDoNotAddUp,
    FeesBooked,
    FindingFacts,
    FindingGroup,
    IgnoredRecords,
    InvariantFacts,
    Night,
    RunFacts,
    SettlementsBooked,
)
from tasks.reconciliation.report.page import render_page
from tasks.reconciliation.report.writing import ReportPaths, report_paths, write_report

__all__ = [
    "RunFacts", "CurrencyTotals", "Both", "Counts", "FindingFacts", "FindingGroup", "BadRowFacts", "InvariantFacts",
    "FeesBooked", "SettlementsBooked", "IgnoredRecords", "Night", "FactsDoNotAddUp", "ReportPaths",
    "report_paths", "write_report", "render_page",
]  # fmt: skip
