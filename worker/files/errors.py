"""What can be wrong with a file, as a whole or in one record.

SourceFailed            the file (or whatever the records come from) cannot be read to its end
Unreadable              one record cannot be read; a person sees its text
    Refused             the same with a stable code
"""

from collections.abc import Sequence

from models.errors import LedgerbeatError


class SourceFailed(LedgerbeatError):
    """The source cannot be read to its end, or not as it is described. The message names it and says what to do, and
    never a secret. Nothing is concluded."""


class Unreadable(ValueError):
    """A cell is not what its column promises. The message names the column and the rule, never what stands there."""


class Refused(Unreadable):
    """A record cannot be read. `code` is stable.

    `cells` are those of the record that can be read, where its format knows them; the others are empty. `text` is the
    whole record's, where it has more lines than the first.
    """

    def __init__(
        self, code: str, reason: str, cells: Sequence[str] | None = None, text: str | None = None
    ) -> None:
        super().__init__(reason)
        self.code = code
        self.cells = cells
        self.text = text
