"""`ledgerbeat backfill start` as an operator runs it, from files, in its own process."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.backfills.office import MAPPING, Office, row

RUNS = "SELECT * FROM backfills ORDER BY created_at"
GOOD = tuple(row(number) for number in range(40))


def test_a_clean_file_ends_with_0_and_every_row_posted(office: Office) -> None:
    office.file(*GOOD)
    ran = office.start("--actor", "ops:dana", "--reason", "ticket 311")
    assert ran.code == 0, ran.out + ran.err
    assert (office.wallet(), office.posted(), office.is_sound()) == (40 * 150, 40, True)
    for words in (
        "40 rows posted",
        "60.00 EUR",
        "done: every row",
        "asked by     ops:dana",
        "reason       ticket 311",
    ):
        assert words in ran.out, words
    [run] = office.rows(RUNS)
    [event] = office.rows("SELECT * FROM audit_events")
    assert (event["action"], event["subject"]) == ("backfills.start", f"backfill:{run['id']}")
    assert (event["actor"], event["reason"]) == ("ops:dana", "ticket 311")


def test_a_dry_run_says_what_the_run_then_does_and_posts_nothing(office: Office) -> None:
    office.file(*GOOD, row(41, amount="twelve"), row(3, amount="9.99"), row(42, owner="bob", amount="-5"))
    said = office.start("--dry-run")
    assert said.code == 1
    assert (office.posted(), office.wallet()) == (0, 0)
    for words in ("40 rows would be posted", "would be posted amount", "dry run: nothing was posted"):
        assert words in said.out, words
    told, done = office.started("--dry-run"), office.started()
    assert office.posted() == 40
    for name in ("rows_read", "posted", "replayed", "unchanged", "quarantined", "money", "reasons", "state"):
        assert told[name] == done[name], name
    assert told["exit_code"] == done["exit_code"] == 1


def test_rows_that_are_set_aside_end_with_1_and_are_told_by_reason(office: Office) -> None:
    office.file(row(1), row(2, currency="XXX"), row(3, currency="XXX"), row(1, amount="7"), row(4, at="2025"))
    ran = office.start()
    assert ran.code == 1
    lines = [line.split() for line in ran.out.splitlines()]
    assert ["unknown_currency", "2", "not", "to", "be", "read"] in lines
    assert ["conflict", "1", "refused"] in lines
    [run] = office.rows(RUNS)
    assert f"ledgerbeat backfill quarantine {run['id']} --out FILE.csv" in ran.out


def test_the_same_file_again_takes_force_and_is_all_replays(office: Office) -> None:
    office.file(*GOOD)
    office.start()
    [first] = office.rows(RUNS)
    refused = office.start()
    told = f"backfill {first['id']} has taken the same content to its end in the namespace oldwallet; to take it again"
    assert (refused.code, told in refused.err, "start one with --force" in refused.err) == (2, True, True)
    assert [run["id"] for run in office.rows(RUNS)] == [first["id"]]
    again = office.start("--force")
    assert again.code == 0
    assert "0 rows posted" in again.out
    assert "40 rows stood already" in again.out
    assert office.wallet() == 40 * 150


def test_only_a_file_of_a_size_that_was_taken_is_compared(office: Office) -> None:
    """Hashing takes seconds for a large one, and nobody would know what for."""
    said = "a file of this size was taken before: comparing its content"
    office.file(*GOOD)
    assert said not in office.start("--dry-run").err
    assert said not in office.start().err
    same_size = office.file(*GOOD[:-1], row(99), name="same-size.csv")
    other = office.start("--dry-run", file=same_size), office.start(file=same_size)
    assert [(ran.code, said in ran.err) for ran in other] == [(0, False), (0, True)]
    longer = office.start(file=office.file(*GOOD, row(100), name="longer.csv"))
    assert (longer.code, said in longer.err) == (0, False)
    office.file(*GOOD)
    for options in (("--force",), ("--dry-run",), ("--namespace", "otherwallet")):
        ran = office.start(*options)
        assert (ran.code, said in ran.err) == (0, False), options


def test_rows_of_one_namespace_are_posted_once_whichever_file_has_them(office: Office) -> None:
    office.file(*GOOD)
    office.start()
    more = office.file(*reversed(GOOD), row(41), name="again.csv")
    told = office.started(file=more)
    assert (told["posted"], told["replayed"], office.posted()) == (1, 40, 41)
    other = office.started("--namespace", "otherwallet", file=more)
    assert (other["posted"], other["replayed"], other["namespace"]) == (41, 0, "otherwallet")


def test_a_cap_pauses_before_it_is_passed_and_a_higher_one_goes_on(office: Office) -> None:
    office.file(*GOOD)
    ran = office.start("--max-amount-minor", 1000)
    assert ran.code == 2
    assert "paused, at its cap: line 8 would move 1.50 EUR; 9.00 EUR were moved before it" in ran.out
    assert "the cap is 10.00 EUR (1000 minor units of each currency)" in ran.out
    assert "It goes on with --max-amount-minor 1050 or more" in ran.out
    assert office.wallet() == 900
    [run] = office.rows(RUNS)
    assert f"ledgerbeat backfill resume {run['id']} --reason ... --max-amount-minor ..." in ran.out
    lower = office.run("backfill", "resume", run["id"], "--reason", "x", "--max-amount-minor", 999)
    assert (lower.code, "can only raise a cap" in lower.err) == (2, True)
    same = office.run("backfill", "resume", run["id"], "--reason", "x", "--here")
    assert (same.code, "Give a higher one, --max-amount-minor" in same.err, same.out) == (2, True, "")
    assert office.wallet() == 900
    resume = ("backfill", "resume", run["id"], "--reason", "agreed", "--max-amount-minor", 10_000)
    on = office.run(*resume, "--here")
    assert (on.code, office.wallet()) == (0, 6000), on.out + on.err


def test_a_dry_run_says_where_the_cap_would_stop_it(office: Office) -> None:
    office.file(*GOOD)
    told = office.started("--dry-run", "--max-amount-minor", 1000)
    assert (told["state"], told["pause_code"], told["posted"], told["exit_code"]) == (
        "paused", "cap_reached", 6, 2,
    )  # fmt: skip
    assert office.posted() == 0


def test_opening_balances_are_another_kind(office: Office) -> None:
    office.mapping(MAPPING.replace('reason = "history"\n', ""))
    path = office.file(row(1, amount="12.50"), row(2, owner="bob", amount="0.99"), name="balances.csv")
    told = ("--tenant", "acme", "--kind", "opening_balances", "--file", path, "--mapping", office.mapping())
    ran = office.run("backfill", "start", *told, "--existing", "difference", "--here", "--json")
    assert (ran.code, office.wallet(), office.wallet("bob")) == (0, 1250, 99), ran.out + ran.err
    assert ran.json["options"] == {"existing": "difference"}


def test_a_source_of_the_settings_needs_no_file_or_mapping(office: Office) -> None:
    office.file(*GOOD)
    named = ("--tenant", "acme", "--kind", "postings", "--source", "history", "--here")
    ran = office.run("backfill", "start", *named)
    assert (ran.code, office.posted()) == (0, 40), ran.out + ran.err
    assert "from source history, namespace oldwallet" in ran.out


def test_a_file_is_read_by_the_mapping_of_a_source(office: Office) -> None:
    path = office.file(*GOOD, name="export-2.csv")
    named = ("--tenant", "acme", "--kind", "postings", "--source", "history", "--file", path, "--here")
    assert office.run("backfill", "start", *named).code == 0
    assert office.posted() == 40


def test_balances_are_recalculated(office: Office) -> None:
    office.file(*GOOD)
    office.start()
    ran = office.run("backfill", "start", "--tenant", "acme", "--wallets", "--here")
    assert (ran.code, "from all accounts" in ran.out) == (0, True), ran.out + ran.err
    owner = office.run(
        "backfill", "start", "--tenant", "acme", "--wallets", "--owner", "ada", "--here", "--json"
    )
    assert owner.json["source"] == {"type": "wallets", "owner": "ada"}


def test_it_is_told_on_standard_error_how_it_gets_on(office: Office) -> None:
    office.file(*GOOD)
    ran = office.start("--json")
    assert json.loads(ran.out)["state"] == "done"
    first, *_, last = ran.err.splitlines()
    assert first.startswith("backfill ")
    assert last == "done: 40 rows; 40 posted, 0 replayed, 0 set aside"


def test_detached_it_is_left_to_the_workers(office: Office) -> None:
    office.file(*GOOD)
    ran = office.start("--detach", here=False)
    [run] = office.rows(RUNS)
    assert (ran.code, run["state"], office.posted()) == (0, "pending", 0)
    assert f"ledgerbeat backfill status {run['id']} --watch" in ran.out


BARE = ("--tenant", "acme", "--kind", "postings")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--tenant", "nobody", "--kind", "postings", "--file", "{file}", "--mapping", "{mapping}"),
         "the settings have no tenant nobody (they have: acme, globex)"),
        ((*BARE, "--file", "{folder}/gone.csv", "--mapping", "{mapping}"), "gone.csv is not a file, or is not there"),
        ((*BARE, "--file", "{folder}", "--mapping", "{mapping}", "--format", "csv"), "is not a file"),
        ((*BARE, "--file", "{file}", "--mapping", "{folder}/gone.toml"), "gone.toml cannot be read"),
        ((*BARE, "--file", "{file}", "--mapping", "{file}"), "is not TOML"),
        ((*BARE, "--file", "{file}"), "--mapping FILE.toml, or --source NAME"),
        ((*BARE, "--mapping", "{mapping}"), "say where from"),
        (BARE, "say where from"),
        ((*BARE, "--file", "{file}", "--mapping", "{mapping}", "--wallets"), "say where from, by one of --file"),
        (("--tenant", "acme", "--file", "{file}", "--mapping", "{mapping}"), "--kind postings or opening_balances"),
        (("--tenant", "acme", "--kind", "wallet_recalc", "--file", "{file}", "--mapping", "{mapping}"), "--kind"),
        ((*BARE, "--source", "nothing"), "no [tenants.acme.backfills.nothing] (they have: history, missed)"),
        ((*BARE, "--source", "missed"), "this source is for --kind provider_events"),
        ((*BARE, "--source", "history", "--mapping", "{mapping}"), "--mapping goes with --file"),
        ((*BARE, "--source", "history", "--format", "csv"), "--format goes with --file"),
        ((*BARE, "--source", "history", "--owner", "ada"), "--owner goes with --wallets"),
        ((*BARE, "--source", "history", "--since", "2026-03-01"), "--since and --until go with --provider"),
        ((*BARE, "--source", "history", "--existing", "refuse"), "--existing goes with --kind opening_balances"),
        ((*BARE, "--source", "history", "--namespace", "Two Words"), "--namespace"),
        ((*BARE, "--source", "history", "--batch-rows", "0"), "--batch-rows"),
        ((*BARE, "--source", "history", "--max-amount-minor", "-1"), "--max-amount-minor"),
        ((*BARE, "--source", "history", "--detach", "--here"), "not both"),
        ((*BARE, "--source", "history", "--reason", " "), "must not be blank"),
        (("--tenant", "acme", "--wallets", "--force"), "--force is for rows"),
        (("--tenant", "acme", "--wallets", "--namespace", "x"), "--namespace is of rows"),
        (("--tenant", "acme", "--provider", "stripe", "--since", "2026-03-01", "--until", "2026-03-02"),
         "no [tenants.acme.providers.stripe]"),
        (("--tenant", "acme", "--provider", "sandbox"), "need --since and --until"),
        (("--tenant", "acme", "--source", "missed", "--since", "2026-03-01"), "need --since and --until"),
        (("--tenant", "acme", "--provider", "sandbox", "--since", "2026-03-02", "--until", "2026-03-02"), "before"),
        (("--tenant", "acme", "--provider", "sandbox", "--since", "yesterday", "--until", "2026-03-02"), "neither"),
        (("--tenant", "acme", "--provider", "sandbox", "--since", "2026-03-01T00:00:00", "--until", "2026-03-02"),
         "neither a day"),
        (("--tenant", "acme", "--provider", "sandbox", "--since", "2026-03-01", "--until", "2026-03-02",
          "--max-amount-minor", "5"), "no cap holds"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_a_sentence_and_makes_no_run(
    office: Office, options: tuple[str, ...], words: str
) -> None:
    named: dict[str, Any] = {
        "file": office.file(*GOOD),
        "mapping": office.mapping(),
        "folder": office.folder,
    }
    ran = office.run("backfill", "start", *(option.format(**named) for option in options), "--here")
    assert (ran.code, words in ran.err) == (2, True), ran.err
    assert "Traceback" not in ran.err
    assert office.rows(RUNS) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\x1f\x8b\x08\x00rest", "packed with gzip: unpack it"),
        (b"PK\x03\x04rest", "packed with zip: unpack it"),
        ("id,owner".encode("utf-16"), "is UTF-16 or UTF-32: save it as UTF-8"),
        (b"id,owner,currency,at\n", "the header lacks amount"),
        (b"id;owner;amount;currency;at\n", "the header lacks"),
        (b"id,owner,amount,amount,currency,at\n", "the header has amount twice"),
    ],
)
def test_a_file_that_is_none_makes_no_run(office: Office, content: bytes, words: str) -> None:
    path = office.folder / "history.csv"
    path.write_bytes(content)
    ran = office.start(file=path)
    assert (ran.code, words in ran.err) == (2, True), ran.err
    assert office.rows(RUNS) == []


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (MAPPING.replace('unit = "major"\n', ""), "unit"),
        (MAPPING.replace('id = "id"\n', ""), "columns.id"),
        (MAPPING.replace('amount = "amount"\n', ""), "set either amount, or both credit and debit"),
        (MAPPING.replace('reason = "history"\n', ""), "reason"),
        (MAPPING + 'owners = "x"\n', "owners"),
        (MAPPING.replace("[columns]", 'encoding = "utf-16"\n[columns]'), "encoding"),
        (MAPPING.replace("[columns]", 'namespace2 = "x"\n[columns]'), "namespace2"),
    ],
)
def test_a_mapping_that_leaves_something_open_makes_no_run(office: Office, told: str, words: str) -> None:
    path, mapping = office.file(*GOOD), office.mapping(told)
    ran = office.run("backfill", "start", *BARE, "--file", path, "--mapping", mapping, "--here")
    assert (ran.code, words in ran.err) == (2, True), ran.err
    assert office.rows(RUNS) == []


def test_a_tenant_that_the_database_does_not_know_is_told(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Path(office.folder / "ledgerbeat.toml")
    config.write_text(config.read_text() + "[tenants.newcomer]\n")
    path = office.file(*GOOD)
    told = ("--tenant", "newcomer", "--kind", "postings", "--file", path, "--mapping", office.mapping())
    ran = office.run("backfill", "start", *told, "--here")
    assert (ran.code, "no tenant 'newcomer' in the database" in ran.err) == (2, True), ran.err
