"""A request's headers, looked up by name without going through all of them each time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence


class Headers(Mapping[str, str]):
    """Name in lower case -> the first value. `all()` shows a header that was repeated.

    Built from bytes as ASGI hands them in, read as Latin-1; white space around a value is not part of it (RFC 9110,
    5.5).
    """

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in raw:
            self._values.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1").strip(" \t"))

    def all(self, name: str) -> Sequence[str]:
        """Every value of the header `name` (lower case), in order."""
        return self._values.get(name, ())

    def __getitem__(self, name: str) -> str:
        return self._values[name][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
