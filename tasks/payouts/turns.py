"""Work that one thread does for all who ask for it at the same moment."""

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

ROUNDS_MAX = 20
"""Who works for the others is let go after so many; what is left then is found by the next tick."""


class Turns(Generic[Key]):
    """Of the threads of this process, one at a time works for a key. Safe for threads."""

    def __init__(self) -> None:
        self._asked_again: dict[Key, bool] = {}
        self._busy = threading.Lock()

    def take(self, key: Key, work: Callable[[], object]) -> None:
        """See to it that `work` is begun after this call was, by this thread or by the one that is at it."""
        with self._busy:
            if key in self._asked_again:
                self._asked_again[key] = True
                return
            self._asked_again[key] = False
        try:
            for _ in range(ROUNDS_MAX):
                work()
                if self._is_over(key):
                    return
        except BaseException:
            self._end(key)
            raise
        self._end(key)

    def _is_over(self, key: Key) -> bool:
        """Has nobody asked since the work began? Then it is anybody's again, in the same moment."""
        with self._busy:
            if self._asked_again[key]:
                self._asked_again[key] = False
                return False
            del self._asked_again[key]
            return True

    def _end(self, key: Key) -> None:
        with self._busy:
            self._asked_again.pop(key, None)
