"""The page: what it says, that it needs nothing else, and that it can be read by everybody."""

import base64
import hashlib
import re
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from freezegun import freeze_time

from models.reconciliation.tables import FINDING_KINDS
from tasks.reconciliation.report import Both, CurrencyTotals, FindingGroup, RunFacts, render_page
from tasks.reconciliation.report.page import FINDINGS_PER_KIND_MAX, HERE, age, money
from tests.unit.reconciliation.report import nights
from tests.unit.reconciliation.report.reading import Page

NIGHTS = (
    nights.clean(),
    nights.bad(),
    nights.truncated(),
    nights.failed(),
    nights.crowded(),
    nights.hostile(),
)
HTML = [render_page(facts) for facts in NIGHTS]
READ = [Page(html) for html in HTML]
CLEAN, BAD, TRUNCATED, FAILED, CROWDED, HOSTILE = READ

every_night = pytest.mark.parametrize(
    "page", READ, ids=["clean", "bad", "truncated", "failed", "crowded", "hostile"]
)


@every_night
def test_every_tag_is_closed_and_every_id_is_there_once(page: Page) -> None:
    assert page.unbalanced == []
    ids = [element.attributes["id"] for element in page.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    for element in page.elements:
        wanted = element.attributes.get("aria-labelledby", "").split()
        if element.tag == "a":
            wanted.append(element.attributes["href"].removeprefix("#"))
        assert set(wanted) <= set(ids), element


@every_night
def test_nothing_is_fetched_and_nothing_runs(page: Page) -> None:
    allowed = {"html", "head", "meta", "title", "style", "body", "header", "main", "section", "div", "p", "h1", "h2",
               "h3", "strong", "ul", "ol", "li", "span", "dl", "dt", "dd", "a", "code", "table", "caption", "thead",
               "tbody", "tr", "th", "td", "details", "summary", "figure", "figcaption", "br", "bdi",
               "svg", "desc", "g", "path", "text", "rect"}  # fmt: skip
    for element in page.elements:
        assert element.tag in allowed
        assert not {"src", "srcset", "style", "xlink:href", "action", "data"} & set(element.attributes)
        assert not [name for name in element.attributes if name.startswith("on")]
        assert element.attributes.get("href", "#").startswith("#")
        values = [value for name, value in element.attributes.items() if name != "xmlns"]
        assert not re.search(r"url\(|https?:", " ".join(values))
    assert "@import" not in page.one("style").text
    assert "url(" not in page.one("style").text


@every_night
def test_the_policy_allows_our_style_sheet_and_nothing_else(page: Page) -> None:
    policy = page.elements[[e.tag for e in page.elements].index("meta") + 1]
    style = "".join(page.one("style").words)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.attributes == {
        "http-equiv": "Content-Security-Policy",
        "content": f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
    }


@every_night
def test_tables_have_captions_and_headers(page: Page) -> None:
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(element.attributes.get("scope") in {"col", "row"} for element in page.all("th"))


@every_night
def test_headings_go_down_step_by_step(page: Page) -> None:
    levels = [int(element.tag[1]) for element in page.elements if re.fullmatch(r"h[1-6]", element.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


@pytest.mark.parametrize(
    ("page", "tone", "title", "question", "todo"),
    [
        (CLEAN, "good", "Clean", "None", "Nothing."),
        (BAD, "bad", "42 open findings", "4,759.27\u00a0EUR", "Mend the books"),
        (TRUNCATED, "bad", "records are incomplete", "Unknown", "ledgerbeat reconcile --tenant acme"),
        (FAILED, "bad", "The run failed", "Unknown", "ledgerbeat reconcile --tenant acme"),
        (CROWDED, "bad", "2,000 open findings", "2,384,548.00\u00a0EUR", "Missing in ledger: 1,000"),
    ],
)
def test_the_first_screen_answers_the_three_questions(
    page: Page, tone: str, title: str, question: str, todo: str
) -> None:
    sections = page.all("section")[:3]
    assert sections[0].attributes["class"] == f"verdict {tone}"
    assert title in sections[0].text
    told = ["".join(section.words).replace("\n", " ") for section in sections]
    assert question in told[1]
    assert "Money in question" in told[1]
    assert "What to do first" in told[2]
    assert todo in told[2]


def test_a_run_that_concluded_nothing_says_so_also_when_findings_are_open() -> None:
    facts = replace(nights.truncated(), findings=(nights.finding(1, "fee_mismatch"),))
    assert "concluded nothing; these were open before" in render_page(facts)
    assert "9,000 records came, at least 45,112 were expected" in TRUNCATED.one("p", class_="problem").text
    assert "none is open from before" in TRUNCATED.one("main").text


def test_every_kind_has_its_section_and_both_records() -> None:
    for kind in FINDING_KINDS:
        assert len(BAD.all("section", class_="kind", **{"aria-labelledby": kind})) == 1
    assert len(BAD.all("details", class_="finding")) == 43
    captions = " ".join(element.text for element in BAD.all("caption"))
    assert "Both records: we have none" in captions
    assert "Both records: the provider has none" in captions
    assert "differs" in BAD.all("tr", class_="differ")[0].text
    assert any("125.00 EUR" in row.text for row in BAD.all("tr", class_="differ"))


def test_the_page_is_bounded_and_says_what_it_leaves_out() -> None:
    assert len(CROWDED.all("details", class_="finding")) == 3 * FINDINGS_PER_KIND_MAX
    told = [element.text for element in CROWDED.all("p", class_="left-out")]
    assert told == [
        f"{many:,} more of this kind are not shown here; the CSV beside this file has all."
        for many in (950, 450, 450)
    ]
    assert len(HTML[4]) < 300_000


def test_findings_that_are_only_counted_are_left_out_by_number() -> None:
    group = FindingGroup("unknown_event", "low", 12_345, nights.NOW - timedelta(days=2))
    page = Page(render_page(replace(nights.clean(), more=(group,))))
    assert page.one("h2", id="verdict").text == "12,345 open findings"
    assert page.one("p", class_="left-out").text.startswith("12,345 more of this kind")


def test_many_currencies_stay_bounded() -> None:
    codes = [
        "EUR",
        "USD",
        "GBP",
        "CHF",
        "SEK",
        "NOK",
        "DKK",
        "PLN",
        "CZK",
        "HUF",
        "RON",
        "TRY",
        "JPY",
        "BHD",
        "KWD",
    ]
    facts = replace(nights.clean(), totals=tuple(CurrencyTotals(code, Both()) for code in codes))
    page = Page(render_page(facts))
    assert len(page.all("details", class_="waterfall")) == 12
    assert "3 more currencies are in the table above" in page.one("main").text
    assert len(page.one("table", class_="sums-table").text.split()) > len(codes)


def test_hostile_texts_are_shown_and_do_nothing() -> None:
    text = " ".join("".join(HOSTILE.one("main").words).split())
    for shown in ("<script>alert(1)</script>", "</style><img src=x onerror=alert(1)>", '"><svg onload=alert(1)>',
                  "{{ 7 * 7 }}", "[U+202E]gnihton[U+202C]", "a[U+0000]b[U+000A]c[U+001B][31m", "[U+D800] alone",
                  "&lt;b&gt;", "(3,700 more characters in the JSON)"):  # fmt: skip
        assert shown in text
    assert "B" * 301 not in HTML[5]


@pytest.mark.parametrize("html", HTML)
def test_no_page_has_a_character_that_cannot_be_seen(html: str) -> None:
    assert not re.search(
        "[\x00-\x09\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ud800-\udfff\ufeff]", html
    )
    html.encode()


def test_outside_text_is_set_apart_from_the_direction_of_ours() -> None:
    for element in HOSTILE.all("span", class_="subject"):
        assert element.words
    subjects = [e for e in HOSTILE.all("bdi") if e.parents[-1] == "span"]
    assert len(subjects) == len(nights.HOSTILE)


def test_equal_facts_make_equal_pages_on_any_day() -> None:
    with freeze_time("2031-01-01"):
        later = render_page(nights.bad())
    assert later == HTML[1]


def test_times_are_those_of_the_tenants_zone() -> None:
    assert "17 Nov 2026, 00:00 to 21 Nov 2026, 00:00 (Europe/Istanbul)" in CLEAN.one("main").text


def test_amounts_are_exact_aligned_and_do_not_break() -> None:
    assert money(-(2**63), "BHD") == "\u22129,223,372,036,854,775.808\u00a0BHD"
    assert money(5, "JPY", signed=True) == "+5\u00a0JPY"
    figures = [e for e in BAD.all("td", class_="n") if re.search(r"\d\.\d\d", e.text)]
    assert len(figures) > 20
    style = (HERE / "page.css").read_text()
    assert re.search(r"\.n \{[^}]*text-align: right;[^}]*tabular-nums", style)


@pytest.mark.parametrize("minor", [99_999_999_999_999_999, 2**63 - 1])
@pytest.mark.parametrize("currency", ["EUR", "BHD", "JPY"])
def test_a_very_large_sum_stands_in_one_line_of_the_headline(minor: int, currency: str) -> None:
    """Its letters shrink with the card, so far that all of them have room: each is at most 0.63 em wide."""
    one = nights.finding(1, "missing_in_ledger", amount_minor=minor, currency=currency)
    page = Page(render_page(replace(nights.clean(), findings=(one,))))
    [sum_] = page.all("span", class_="sum")
    assert sum_.attributes["class"] == "sum long"
    style = (HERE / "page.css").read_text()
    assert re.search(r"\.card \{[^}]*container-type: inline-size", style)
    assert re.search(r"\.sum \{[^}]*white-space: nowrap", style)
    [(least, share, most)] = re.findall(r"\.sum\.long \{[^}]*clamp\((.*?)rem, (.*?)cqi, (.*?)rem\)", style)
    assert (float(least) < 1, float(most)) == (True, 1.5)
    assert len(money(minor, currency)) * 0.63 * float(share) <= 100


def test_an_ordinary_sum_is_as_large_as_can_be() -> None:
    assert {one.attributes["class"] for one in BAD.all("span", class_="sum")} == {"sum"}


@pytest.mark.parametrize(
    ("passed", "shown"),
    [(timedelta(-1), "0 min"), (timedelta(minutes=59), "59 min"), (timedelta(hours=23), "23 h"), (timedelta(9), "9 d")],
)  # fmt: skip
def test_ages_are_told_in_one_unit(passed: timedelta, shown: str) -> None:
    assert age(nights.NOW - passed, nights.NOW) == shown


def palette(dark: bool) -> dict[str, str]:
    style = (HERE / "page.css").read_text()
    roots: list[str] = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    return dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", roots[1] if dark else roots[0]))


def luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


TEXT = [("ink", "page"), ("ink", "card"), ("faint", "card"), ("link", "card"), ("good", "good-page"),
        ("look", "look-page"), ("bad", "bad-page"), ("ink", "good-page"), ("ink", "look-page"), ("ink", "bad-page"),
        ("good", "card"), ("look", "card"), ("bad", "card")]  # fmt: skip
GRAPHICS = ("total", "waiting", "rise", "fall", "night", "age-0", "age-1", "age-2", "age-3")


@pytest.mark.parametrize("dark", [False, True])
def test_contrast_is_wcag_aa(dark: bool) -> None:
    """4.5 for text, 3 for what is drawn. A night without a result is pale, with an outline in the colour of text."""
    colours = palette(dark)
    assert palette(dark=True).keys() == palette(dark=False).keys()
    for front, back in TEXT:
        assert contrast(colours[front], colours[back]) >= 4.5, (front, back)
    for name in GRAPHICS:
        assert contrast(colours[name], colours["card"]) >= 3, name


def test_a_night_of_nothing_at_all_is_a_page() -> None:
    facts = replace(nights.clean(), totals=(), invariants=(), fees=(), history=())
    assert Page(render_page(facts)).unbalanced == []


def test_facts_of_a_run_are_not_changed() -> None:
    facts: RunFacts = nights.bad()
    render_page(facts)
    assert facts == nights.bad()
