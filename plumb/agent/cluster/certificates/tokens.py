"""Join tokens, in Docker's form: SWMTKN-1-DIGEST-SECRET.

DIGEST is SHA-256 of the certificate of the cluster's CA, in base 36, 50 digits. A node that joins
asks for the certificate over a connection that proves nothing, and goes on only if the digest is
the token's: it then sends SECRET, 25 digits of base 36, to nobody but a manager with a certificate
of that CA. Workers and managers have secrets of their own; whoever has one can join in that role.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

from plumb.errors import Invalid
from plumb.frozen import frozen

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
DIGEST_DIGITS, SECRET_DIGITS = 50, 25
SECRET_BITS = 128
FORM = re.compile(r"SWMTKN-1-([0-9a-z]{50})-([0-9a-z]{25})")


@frozen
class Token:
    """A join token."""

    digest: str
    secret: str

    def __str__(self) -> str:
        return f"SWMTKN-1-{self.digest}-{self.secret}"

    def __repr__(self) -> str:
        return f"Token({self.digest!r}, …)"  # so that no traceback shows the secret

    def pins(self, ca: str) -> bool:
        """Compare the digest with that of a CA's certificate, PEM."""
        return hmac.compare_digest(self.digest, digest(ca))


def parse(text: str) -> Token:
    """Parse a join token.

    Raises:
        Invalid: it is none.
    """
    found = FORM.fullmatch(text.strip())
    if found is None:
        raise Invalid(
            "invalid join token", "as 'plumb swarm join-token worker' prints it on a manager"
        )
    return Token(found[1], found[2])


def digest(ca: str) -> str:
    """SHA-256 of a certificate (its PEM text, as Docker takes it), as a token has it."""
    return base36(int.from_bytes(hashlib.sha256(ca.encode()).digest()), DIGEST_DIGITS)


def new_secret() -> str:
    """Draw a secret."""
    return base36(secrets.randbits(SECRET_BITS), SECRET_DIGITS)


def new_id() -> str:
    """Draw an id of a node or a swarm: 25 digits, as Docker's."""
    return base36(secrets.randbits(SECRET_BITS), SECRET_DIGITS)


def base36(number: int, digits: int) -> str:
    """A number in base 36, with zeros before it."""
    text = ""
    while number:
        number, rest = divmod(number, len(DIGITS))
        text = DIGITS[rest] + text
    return text.rjust(digits, "0")
