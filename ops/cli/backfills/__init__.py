"""The parts of `ledgerbeat backfill`: what is asked for, how it gets on, how it ended, and what was set aside."""
