"""`python3 -m ops <verb>`, from a fresh clone with Python alone; this file must parse under any old one."""

import sys

# The whole point of the check: an old interpreter gets a sentence and not a traceback.
if sys.version_info < (3, 11):  # noqa: UP036
    version = ".".join(str(part) for part in sys.version_info[:2])
    sys.exit(
        "Ledgerbeat needs Python 3.11 or newer, and this is Python " + version + ": "
        "run the same command with a newer one, for example `python3.12 -m ops`."
    )

from ops.bootstrap import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
