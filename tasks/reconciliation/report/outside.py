"""Text from outside, made fit to be shown: nothing invisible, nothing that turns the line around. Pure."""

import unicodedata

INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Controls (NUL, newline), formats (the marks that reverse text, zero widths), lone surrogates, private, unassigned."""


def visible(text: str) -> str:
    """`text` with each character that cannot be seen written as its code point: NUL becomes `[U+0000]`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"[U+{ord(one):04X}]" if unicodedata.category(one) in INVISIBLE else one for one in text)


def clipped(text: str, length: int) -> tuple[str, int]:
    """Its first `length` characters, and how many were left out."""
    return text[:length], max(0, len(text) - length)
