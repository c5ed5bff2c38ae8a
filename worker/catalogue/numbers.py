"""Tells card numbers and IBANs from opaque tokens, so that none is ever stored. Pure.

Shape alone would refuse good tokens (Adyen's transfer instruments look like Swedish IBANs but for their length), so a
number must also pass its check digits, and an IBAN have the length that its country registered with SWIFT.
"""

import re

CARD = re.compile(
    r"""(?<![0-9A-Za-z])(?:
    [0-9]{13,19}
    | [0-9]{4} ([-._/]) [0-9]{4} \1 [0-9]{4} \1 [0-9]{1,7}
    | [0-9]{4} ([-._/]) [0-9]{6} \2 [0-9]{4,5}
)(?![0-9A-Za-z])""",
    re.VERBOSE,
)
"""In one run, or grouped as on the card; a UUID's groups are others."""
CARD_NETWORKS = "23456"
"""ISO/IEC 7812: what the numbers of payment cards begin with. 1 is airlines' and begins every time in milliseconds."""
IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
IBAN_COUNTRIES = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 "
    "EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 "
    "KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 "
    "PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 "
    "UA29 VA22 VG24 XK20 YE30"
)
IBAN_LENGTHS = {entry[:2]: int(entry[2:]) for entry in IBAN_COUNTRIES.split()}
"""Country -> characters, as in SWIFT's IBAN registry."""
SEPARATORS = re.compile(r"[-._/]")


def is_card_number(token: str) -> bool:
    """13 to 19 digits that pass Luhn's check (ISO/IEC 7812-1): the whole token, or a card network's inside it."""
    for found in CARD.finditer(token):
        digits = SEPARATORS.sub("", found.group())
        if (found.group() == token or digits[0] in CARD_NETWORKS) and _passes_luhn(digits):
            return True
    return False


def is_account_number(token: str) -> bool:
    """An IBAN (ISO 13616), in any case: the whole token with or without separators, or a part between some."""
    parts = (SEPARATORS.sub("", token.rpartition(":")[2]), *re.split("[^A-Za-z0-9]", token))
    return any(_is_iban(part.upper()) for part in parts)


def _passes_luhn(digits: str) -> bool:
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (doubled + sum(int(digit) for digit in digits[-1::-2])) % 10 == 0


def _is_iban(text: str) -> bool:
    if not IBAN.fullmatch(text) or IBAN_LENGTHS.get(text[:2]) != len(text):
        return False
    return int("".join(str(int(character, 36)) for character in text[4:] + text[:4])) % 97 == 1
