"""A process that holds embedded servers until it is killed: `python holder.py HOME`. Prints one JSON line."""

import json
import os
import sys
import threading
from dataclasses import asdict
from pathlib import Path

from ops.embedded import EmbeddedServices


def hold(home: Path) -> None:
    with EmbeddedServices(home, durable=False) as servers:
        print(json.dumps({**asdict(servers.services), "euid": os.geteuid()}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    # From a thread: how the servers are tied to us must not depend on which thread started them.
    holder = threading.Thread(target=hold, args=(Path(sys.argv[1]),))
    holder.start()
    holder.join()
