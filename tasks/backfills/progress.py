"""How far a run is, how fast it goes, and how long it still takes. Pure."""

from dataclasses import dataclass

from models.backfills.runs import Run


@dataclass(frozen=True, slots=True)
class Progress:
    """`fraction` (0 to 1) and `eta_seconds` are None where nobody knows how much there is. `rows_per_second` is of the
    time that was spent in batches."""

    rows: int
    rows_total: int | None
    fraction: float | None
    rows_per_second: float | None
    eta_seconds: float | None

    def __str__(self) -> str:
        """`42,000 of 1,000,000 rows, 21,000/s, ETA 45 s`: numbers only."""
        told = [
            f"{self.rows:,} rows" if self.rows_total is None else f"{self.rows:,} of {self.rows_total:,} rows"
        ]
        if self.rows_total is None and self.fraction is not None:
            told.append(f"{self.fraction:.0%}")
        if self.rows_per_second is not None:
            told.append(f"{self.rows_per_second:,.0f}/s")
        if self.eta_seconds is not None:
            told.append(f"ETA {self.eta_seconds:,.0f} s")
        return ", ".join(told)


def progress(run: Run) -> Progress:
    """By rows where their number is known, else by bytes."""
    fraction = _fraction(run)
    rate = run.rows_read / run.worked_seconds if run.worked_seconds > 0 and run.rows_read else None
    eta = run.worked_seconds * (1 / fraction - 1) if fraction and run.worked_seconds > 0 else None
    return Progress(run.rows_read, run.rows_total, fraction, rate, eta)


def _fraction(run: Run) -> float | None:
    if run.phase != "read" or run.state == "done":
        return 1.0
    if run.rows_total:
        return min(run.rows_read / run.rows_total, 1.0)
    return min(run.bytes_read / run.bytes_total, 1.0) if run.bytes_total else None
