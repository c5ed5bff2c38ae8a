"""Cutting a batch into runs: few, and in an order that nobody can tell from the order of acceptance."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from models.jobs.claim import Job
from tasks.intake.port import Touched, Work
from tasks.intake.runs import Run, cut

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)


def work(seq: int, name: str) -> Work[None]:
    return Work(Job(UUID(int=seq), seq, "acme", name, "app", str(seq), {}, 0, NOON, None), None)


def cut_of(*jobs: tuple[str, Touched]) -> list[tuple[str, list[int]]]:
    runs = cut([(work(seq, name), touched) for seq, (name, touched) in enumerate(jobs)])
    return [(run.name, [one.job.seq for one in run.works]) for run in runs]


def owners(*names: str) -> Touched:
    return frozenset(names)


def test_alternating_names_of_strangers_make_one_run_each() -> None:
    jobs = [("credit" if seq % 2 else "debit", owners(str(seq))) for seq in range(200)]
    assert [(name, len(seqs)) for name, seqs in cut_of(*jobs)] == [("debit", 100), ("credit", 100)]


def test_one_owners_jobs_keep_their_order_across_names() -> None:
    assert cut_of(("credit", owners("a")), ("debit", owners("a")), ("credit", owners("a"))) == [
        ("credit", [0]),
        ("debit", [1]),
        ("credit", [2]),
    ]


def test_what_touches_everything_is_passed_by_nothing() -> None:
    assert cut_of(("credit", owners("a")), ("policy", None), ("credit", owners("b"))) == [
        ("credit", [0]),
        ("policy", [1]),
        ("credit", [2]),
    ]


def test_a_job_passes_only_those_it_shares_nothing_with() -> None:
    jobs = [("credit", owners("a")), ("debit", owners("b")), ("credit", owners("c")), ("credit", owners("b"))]
    assert cut_of(*jobs) == [("credit", [0, 2]), ("debit", [1]), ("credit", [3])]


TOUCHED = st.one_of(st.none(), st.frozensets(st.sampled_from("abcd"), max_size=2))


@given(st.lists(st.tuples(st.sampled_from(["credit", "debit", "event"]), TOUCHED), max_size=30))
def test_jobs_of_one_name_and_jobs_that_share_something_keep_their_order(
    jobs: list[tuple[str, Touched]],
) -> None:
    runs: list[Run] = list(cut([(work(seq, name), touched) for seq, (name, touched) in enumerate(jobs)]))
    order = [one.job.seq for run in runs for one in run.works]
    assert sorted(order) == list(range(len(jobs)))
    assert all(one.job.name == run.name for run in runs for one in run.works)
    place = {seq: index for index, seq in enumerate(order)}
    for later in range(len(jobs)):
        for earlier in range(later):
            (name, one), (other, two) = jobs[earlier], jobs[later]
            if name == other or one is None or two is None or one & two:
                assert place[earlier] < place[later]
