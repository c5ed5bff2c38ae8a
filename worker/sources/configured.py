"""A source of rows that the settings name: a file, a query on an older database, or a provider's events."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from worker.sources.mapping import LegacyMapping

Text = Annotated[str, Field(min_length=1, max_length=20_000)]


class BackfillSettings(BaseModel):
    """`path` and `format`, or `url` (a reference) with `query` and its `key`, each with a mapping; or `provider`.

    The key is a column of the query that is unique, never NULL, and what its rows are ordered by. A page's statement
    ends within `statement_seconds`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    format: Literal["csv", "jsonl"] | None = None
    url: SecretStr | None = None
    query: Text | None = None
    key: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    statement_seconds: Annotated[int, Field(ge=1, le=3600)] = 30
    provider: str | None = None
    mapping: LegacyMapping | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(told is not None for told in (self.path, self.url, self.provider)) != 1:
            raise ValueError("set one of path (a file), url (an older database) and provider (its events)")
        if (self.path is None) != (self.format is None):
            raise ValueError("path needs format, 'csv' or 'jsonl', and nothing else takes it")
        if (self.url is None) != (self.query is None) or (self.url is None) != (self.key is None):
            raise ValueError(
                "url needs query and key, the column it is ordered by, and nothing else takes them"
            )
        if (self.provider is None) != (self.mapping is not None):
            raise ValueError("path and url need the table mapping, and provider takes none")
        if self.path is not None and not Path(self.path).is_absolute():
            raise ValueError("path must be absolute, such as /srv/legacy/history.csv")
        if self.query is not None and self.query.rstrip().endswith(";"):
            raise ValueError("query is one SELECT, without a semicolon at its end")
        return self
