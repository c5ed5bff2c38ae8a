"""`python -m ops.cli` is `ledgerbeat`."""

from ops.cli import main

main()
