"""What was set aside: shown, and written as a file that goes in again once it is corrected."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from tests.integration.backfills.office import HEADER, MAPPING, Office, row
from worker.database import Transaction

OLD = """
[tenants.acme.backfills.old]
url = "file:old-url"
query = "SELECT * FROM movements"
key = "id"
[tenants.acme.backfills.old.mapping]
unit = "minor"
currency = "EUR"
reason = "history"
columns = {id = "id", owner = "owner", amount = "minor", occurred_at = "at"}
"""
QUOTED = 'h-9,ada,"1,50",EUR,"2025-03-14T12:00:00Z"'
LINES = ('h-8,"ada', 'lovelace",1.00,EUR,2025-03-14T12:00:00Z')


@pytest.fixture
def faulty(office: Office) -> str:
    """A run that posted one row and set four aside."""
    office.file(row(1), row(2, amount="a lot"), row(3, owner="bob", amount="-2.00"), QUOTED, *LINES)
    return str(office.started()["id"])


def why(path: Path) -> Sequence[dict[str, str]]:
    with path.with_name(f"{path.name}.why.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_row_is_shown_with_its_line_and_reason(office: Office, faulty: str) -> None:
    ran = office.run("backfill", "quarantine", faulty)
    assert ran.code == 0
    for words in ("line 3", "bad_amount", "h-2,ada,a lot,EUR", "line 4", "insufficient_funds", "line 6"):
        assert words in ran.out, ran.out
    told = office.run("backfill", "quarantine", faulty, "--json").json
    assert [(one["line"], one["code"]) for one in told] == [
        (3, "bad_amount"), (4, "insufficient_funds"), (5, "bad_amount"), (6, "bad_owner"),
    ]  # fmt: skip
    few = office.run("backfill", "quarantine", faulty, "--limit", 1)
    assert "the first 1 of 4: --limit, or --out FILE for all" in few.out


def test_the_file_has_the_rows_as_they_were_and_another_says_why(office: Office, faulty: str) -> None:
    out = office.folder / "bad.csv"
    ran = office.run("backfill", "quarantine", faulty, "--out", out)
    assert (ran.code, "4 rows" in ran.out) == (0, True), ran.out + ran.err
    rows = (row(2, amount="a lot"), row(3, owner="bob", amount="-2.00"), QUOTED, *LINES)
    assert out.read_text().splitlines() == [HEADER, *rows]
    told = why(out)
    assert [(one["row"], one["line"], one["code"], one["cut"]) for one in told] == [
        ("1", "3", "bad_amount", ""), ("2", "4", "insufficient_funds", ""), ("3", "5", "bad_amount", ""),
        ("4", "6", "bad_owner", ""),
    ]  # fmt: skip
    assert told[1]["id"] == "h-3"
    assert all(one["reason"] for one in told)


def test_corrected_it_is_fed_again_with_the_same_mapping(office: Office, faulty: str) -> None:
    out = office.folder / "bad.csv"
    office.run("backfill", "quarantine", faulty, "--out", out)
    corrected = (
        out.read_text().replace("a lot", "2.50").replace('"1,50"', "1.50").replace("ada\nlovelace", "ada")
    )
    out.write_text(corrected.replace("bob,-2.00", "bob,2.00"))
    ran = office.start(file=out)
    assert ran.code == 0, ran.out + ran.err
    assert (office.wallet(), office.wallet("bob"), office.posted()) == (650, 200, 5)
    assert "none is open" in office.run("backfill", "quarantine", faulty).out
    again = office.start("--force")
    assert (again.code, office.posted(), office.wallet()) == (1, 5, 650)


def test_uncorrected_it_is_set_aside_again_for_the_same_reasons(office: Office, faulty: str) -> None:
    out = office.folder / "bad.csv"
    office.run("backfill", "quarantine", faulty, "--out", out)
    told = office.started(file=out)
    [first] = office.rows("SELECT reasons FROM backfills WHERE id = :id", id=faulty)
    assert (told["posted"], told["quarantined"], told["reasons"]) == (0, 4, first["reasons"])


def test_it_is_written_in_the_encoding_of_the_source(office: Office) -> None:
    told = MAPPING.replace("[columns]", 'encoding = "cp1254"\ndelimiter = ";"\n[columns]')
    mapping, path = office.mapping(told), office.folder / "eski.csv"
    header, bad = "id;owner;amount;currency;at;gönderen", "h-1;ada;çok;EUR;2025-03-14T12:00:00Z;Şubat ödülü"
    path.write_bytes(f"{header}\n{bad}\n".encode("cp1254"))
    start = ("backfill", "start", "--tenant", "acme", "--kind", "postings", "--mapping", mapping, "--here")
    found = office.run(*start, "--file", path, "--json").json
    out = office.folder / "bozuk.csv"
    assert office.run("backfill", "quarantine", found["id"], "--out", out).code == 0
    assert out.read_bytes().decode("cp1254").splitlines() == [header, bad]
    out.write_bytes(out.read_bytes().replace("çok".encode("cp1254"), b"5"))
    assert office.run(*start, "--file", out).code == 0
    assert office.wallet() == 500


@pytest.mark.parametrize("total", ["Total,,3,,", "Total,,3,,\nprinted by,,,,"])
def test_it_is_read_by_a_mapping_that_leaves_lines_out(office: Office, total: str) -> None:
    around = f"skip_lines = 2\nskip_last = {1 + total.count(chr(10))}\n"
    mapping = office.mapping(MAPPING.replace("[columns]", around + "[columns]"))
    path, out = office.folder / "bank.csv", office.folder / "bad.csv"
    path.write_text(f"a bank\n\n{HEADER}\n{row(1)}\n{row(2, amount='a lot')}\n{total}\n")
    start = ("backfill", "start", "--tenant", "acme", "--kind", "postings", "--mapping", mapping, "--here")
    found = office.run(*start, "--file", path, "--json").json
    assert (found["posted"], found["quarantined"]) == (1, 1)
    assert office.run("backfill", "quarantine", found["id"], "--out", out).code == 0
    out.write_text(out.read_text().replace("a lot", "2.50"))
    assert office.run(*start, "--file", out).code == 0
    assert (office.wallet(), office.posted()) == (400, 2)


def test_json_lines_have_no_header(office: Office) -> None:
    rows = [
        {"id": "j-1", "owner": "ada", "amount": "x", "currency": "EUR", "at": "2025-03-14T12:00:00Z"},
        {"id": "j-2", "owner": "ada", "amount": "1", "currency": "EUR", "at": "2025-03-14T12:00:00Z"},
    ]
    path = office.folder / "history.jsonl"
    path.write_text("".join(f"{json.dumps(one)}\n" for one in rows))
    found = office.started(file=path)
    out = office.folder / "bad.jsonl"
    office.run("backfill", "quarantine", found["id"], "--out", out)
    assert [json.loads(line) for line in out.read_text().splitlines()] == rows[:1]


def test_what_was_cut_or_is_not_text_is_said_to_be_so(office: Office) -> None:
    path = office.file(row(1, amount="9" * 3000))
    with path.open("ab") as file:
        file.write(b"h-2,ad\xffa,1.00,EUR,2025-03-14T12:00:00Z\n")
    found, out = office.started(), office.folder / "bad.csv"
    ran = office.run("backfill", "quarantine", found["id"], "--out", out)
    assert "2 of them are not whole ('cut'): take those from the source, by their line" in ran.out
    assert [one["cut"] for one in why(out)] == ["cut", "cut"]


def test_no_file_is_written_over(office: Office, faulty: str) -> None:
    out = office.folder / "bad.csv"
    out.write_text("mine")
    ran = office.run("backfill", "quarantine", faulty, "--out", out)
    assert (ran.code, "is there already" in ran.err, out.read_text()) == (2, True, "mine")
    other = office.folder / "other.csv"
    other.with_name("other.csv.why.csv").write_text("mine")
    assert office.run("backfill", "quarantine", faulty, "--out", other).code == 2
    assert not other.exists()
    nowhere = office.run("backfill", "quarantine", faulty, "--out", office.folder / "no" / "bad.csv")
    assert (nowhere.code, "cannot be written" in nowhere.err) == (2, True)


def test_without_the_source_there_is_no_header(office: Office, faulty: str) -> None:
    (office.folder / "history.csv").unlink()
    out = office.folder / "bad.csv"
    ran = office.run("backfill", "quarantine", faulty, "--out", out)
    assert (ran.code, "Run this where" in ran.err, out.exists()) == (2, True, False), ran.err


def test_a_clean_run_has_nothing_to_show(office: Office) -> None:
    office.file(row(1))
    found, out = office.started(), office.folder / "rest.csv"
    assert "nothing was set aside" in office.run("backfill", "quarantine", found["id"]).out
    ran = office.run("backfill", "quarantine", found["id"], "--out", out)
    assert (ran.code, ran.out, out.exists()) == (0, "nothing was set aside\n", False), ran.err


def test_the_command_that_is_told_feeds_balances_as_before(office: Office) -> None:
    mapping = office.mapping(MAPPING.replace('reason = "history"\n', ""))
    office.file(row(1))
    office.start()
    path, out = office.file(row(2, amount="x"), name="balances.csv"), office.folder / "rest.csv"
    told = ("--tenant", "acme", "--kind", "opening_balances", "--file", path, "--mapping", mapping)
    for options, ends in (
        ((), "oldwallet\n"),
        (("--existing", "difference"), "oldwallet --existing difference\n"),
    ):
        run_id = office.run("backfill", "start", *told, *options, "--force", "--here", "--json").json["id"]
        said = office.run("backfill", "quarantine", run_id, "--out", out.with_name(f"{run_id}.csv")).out
        assert said.endswith(f"--namespace {ends}"), said


def test_rows_of_a_query_come_out_as_json_lines_for_the_same_mapping(
    office: Office, owner_transaction: Transaction, database_url: str
) -> None:
    with owner_transaction() as session:
        session.execute(text("CREATE TABLE movements (id bigint, owner text, minor text, at timestamptz)"))
        session.execute(text("INSERT INTO movements VALUES (1, 'ada', '5', now()), (2, 'ada', 'six', now())"))
    url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    (office.folder / "old-url").write_text(url)
    config = office.folder / "ledgerbeat.toml"
    config.write_text(config.read_text() + OLD)
    named = ("backfill", "start", "--tenant", "acme", "--kind", "postings", "--source", "old", "--here")
    found = office.run(*named, "--json")
    assert (found.code, found.json["posted"], found.json["reasons"]) == (1, 1, {"bad_amount": 1}), found.err
    assert url not in found.out
    out = office.folder / "rest.jsonl"
    ran = office.run("backfill", "quarantine", found.json["id"], "--out", out)
    assert f"--file {out} --format jsonl --source old --namespace legacy" in ran.out
    out.write_text(out.read_text().replace("six", "6"))
    again = office.run(*named, "--file", out)
    assert (again.code, office.wallet()) == (0, 11), again.out + again.err
