"""A self-signed certificate for 127.0.0.1, made afresh: PKCS#1 and X.509 (RFC 8017, RFC 5280) by hand.

Only as good as a test needs: no private key has to be kept in the repository for it, and no tool has to be installed.
"""

import base64
import hashlib
import random
import ssl
from dataclasses import dataclass
from pathlib import Path

SMALL_PRIMES = [n for n in range(3, 2000) if all(n % d for d in range(2, int(n**0.5) + 1))]
SHA256_WITH_RSA, RSA, COMMON_NAME, SUBJECT_ALT_NAME = (
    (1, 2, 840, 113549, 1, 1, 11), (1, 2, 840, 113549, 1, 1, 1), (2, 5, 4, 3), (2, 5, 29, 17)
)  # fmt: skip
SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a server shows, and a context that trusts exactly it."""

    server: ssl.SSLContext
    trusting: ssl.SSLContext


def make_identity(folder: Path) -> Identity:
    n, e, d, p, q = _rsa()
    certificate = _pem("CERTIFICATE", _certificate(n, e, d))
    key = _sequence(*(_integer(v) for v in (0, n, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))))
    path = folder / "identity.pem"
    path.write_text(certificate + _pem("RSA PRIVATE KEY", key))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.load_verify_locations(cadata=certificate)
    return Identity(server, trusting)


def _rsa() -> tuple[int, int, int, int, int]:
    e = 65537
    while True:
        p, q = _prime(1024), _prime(1024)
        if p != q and (p - 1) % e and (q - 1) % e:
            return p * q, e, pow(e, -1, (p - 1) * (q - 1)), p, q


def _prime(bits: int) -> int:
    source = random.SystemRandom()
    while True:
        n = source.getrandbits(bits) | (3 << (bits - 2)) | 1
        if all(n % small for small in SMALL_PRIMES) and all(pow(a, n - 1, n) == 1 for a in (2, 3, 5)):
            return n


def _certificate(n: int, e: int, d: int) -> bytes:
    algorithm = _sequence(_oid(SHA256_WITH_RSA), _tlv(5))
    name = _sequence(_tlv(0x31, _sequence(_oid(COMMON_NAME), _tlv(12, b"receiver"))))
    validity = _sequence(_tlv(23, b"200101000000Z"), _tlv(23, b"491231235959Z"))
    public = _sequence(_sequence(_oid(RSA), _tlv(5)), _bits(_sequence(_integer(n), _integer(e))))
    loopback = _sequence(_tlv(0x87, bytes([127, 0, 0, 1])))
    extensions = _tlv(0xA3, _sequence(_sequence(_oid(SUBJECT_ALT_NAME), _tlv(4, loopback))))
    version = _tlv(0xA0, _integer(2))
    signed = _sequence(version, _integer(1), algorithm, name, validity, name, public, extensions)
    digest = SHA256_PREFIX + hashlib.sha256(signed).digest()
    padded = b"\0\1" + b"\xff" * (256 - 3 - len(digest)) + b"\0" + digest
    signature = pow(int.from_bytes(padded), d, n).to_bytes(256)
    return _sequence(signed, algorithm, _bits(signature))


def _tlv(tag: int, content: bytes = b"") -> bytes:
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 128 + len(length)]) + length + content


def _sequence(*parts: bytes) -> bytes:
    return _tlv(0x30, b"".join(parts))


def _integer(value: int) -> bytes:
    return _tlv(2, value.to_bytes(value.bit_length() // 8 + 1))


def _bits(content: bytes) -> bytes:
    return _tlv(3, b"\0" + content)


def _oid(arcs: tuple[int, ...]) -> bytes:
    first, second, *rest = arcs
    return _tlv(6, bytes([40 * first + second]) + b"".join(map(_base128, rest)))


def _base128(arc: int) -> bytes:
    digits = [arc & 127]
    while arc := arc >> 7:
        digits.append(128 | arc & 127)
    return bytes(reversed(digits))


def _pem(label: str, der: bytes) -> str:
    return f"-----BEGIN {label}-----\n{base64.encodebytes(der).decode()}-----END {label}-----\n"
