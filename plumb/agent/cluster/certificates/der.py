"""Fields of a certificate, read from its bytes: DER (X.690) of the structure in RFC 5280, 4.1.

A manager needs the key of whoever asks at each first request, and a node the end of its own
certificate. Both have verified it by TLS or have it from a manager; so a reader of 40 lines does,
where a library would take as much memory as the rest of the process.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime

VERSION, UTC_TIME = 0xA0, 0x17
"""Tags: of the field `version`, which may be absent; of a year with two digits."""


def key_hash(certificate: bytes) -> str:
    """SHA-256 of a certificate's public key, in hex, by which a node is known (`Node.key`).

    Args:
        certificate: DER.

    Raises:
        ValueError: it is none.
    """
    return hashlib.sha256(_fields(certificate)[5]).hexdigest()


def validity(certificate: str) -> tuple[datetime, datetime]:
    """The two moments between which a certificate (PEM) is valid.

    Raises:
        ValueError: it is none.
    """
    begin, end = _elements(_content(_fields(ssl.PEM_cert_to_DER_cert(certificate))[3]))
    return _moment(begin), _moment(end)


def _fields(certificate: bytes) -> list[bytes]:
    """Serial number, algorithm, issuer, validity, subject, public key, and what follows."""
    signed = next(_elements(_content(certificate)), b"")
    found = [one for one in _elements(_content(signed)) if one[0] != VERSION]
    if len(found) < 6:
        raise ValueError("no certificate: fields are missing")
    return found


def _moment(element: bytes) -> datetime:
    form = "%y%m%d%H%M%SZ" if element[0] == UTC_TIME else "%Y%m%d%H%M%SZ"
    return datetime.strptime(_content(element).decode("ascii"), form).replace(tzinfo=UTC)


def _elements(data: bytes) -> Iterator[bytes]:
    """Part a content into its elements, each with its tag and length."""
    while data:
        begin, size = _extent(data)
        yield data[: begin + size]
        data = data[begin + size :]


def _content(element: bytes) -> bytes:
    begin, size = _extent(element)
    return element[begin : begin + size]


def _extent(element: bytes) -> tuple[int, int]:
    """Offset and length of an element's content."""
    if len(element) < 2:
        raise ValueError("no certificate: it ends too early")
    begin, size = 2, element[1]
    if size & 0x80:
        begin = 2 + (size & 0x7F)
        size = int.from_bytes(element[2:begin], "big")
    if begin + size > len(element):
        raise ValueError("no certificate: it ends too early")
    return begin, size
