"""What commands print of others' words: as they are, and nothing that the terminal would obey."""

import pytest

from ops.cli.output import print_facts, print_table


@pytest.mark.parametrize("word", ["player[bold]1", "[/a]", "a:smile:b", "[link=x]y"])
def test_words_that_look_like_markup_are_shown_as_they_are(
    capsys: pytest.CaptureFixture[str], word: str
) -> None:
    print_table(("owner",), [(word,)], empty="none")
    print_facts({"owner": word})
    assert capsys.readouterr().out.split() == ["owner", word, "owner", word]


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\nb", r"a\nb"),
        ("\x9b2J", r"\x9b2J"),
        ("a\u202eb", r"a\u202eb"),
        ("ünal", "ünal"),
    ],
)
def test_control_characters_are_spelt_out(capsys: pytest.CaptureFixture[str], word: str, shown: str) -> None:
    print_table(("name",), [(word,)], empty="none")
    print_facts({"name": word})
    assert capsys.readouterr().out.split() == ["name", shown, "name", shown]
