"""Reconciliation: what the providers say against the ledger, night by night, and the findings that come of it."""

from models.reconciliation.findings import Finding, record_findings

__all__ = ["Finding", "record_findings"]
