"""Reconciliation: every night each provider's own account against the ledger, and what does not agree as findings."""
