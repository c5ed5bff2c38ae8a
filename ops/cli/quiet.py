"""Commands speak for themselves: what the code they call would log is not for the operator's terminal."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog


@contextmanager
def quiet_logs() -> Iterator[None]:
    """Drop what is logged meanwhile: a rehearsal's "job is dead" never happened, a nudge that fails harms nothing."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)
