"""Send messages to one of the queues: `python -m tests.bench.peers.publish MODULE HOW_MANY`. Prints when it began."""

import asyncio
import importlib
import random
import sys
import time
from uuid import uuid4


def main(module: str, how_many: int) -> None:
    queue = importlib.import_module(f"tests.bench.peers.{module}")
    messages = [
        (f"{module}:{uuid4()}", f"player-{random.randint(0, 999)}", random.randint(1, 10_000))  # noqa: S311
        for _ in range(how_many)
    ]
    began_at = time.time()
    if hasattr(queue, "send_all"):
        asyncio.run(queue.send_all(messages))
    else:
        for message in messages:
            queue.send(*message)
    print(began_at)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
