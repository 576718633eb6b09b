"""Digest of a text: SHA-256 without OpenSSL.

`hashlib` loads OpenSSL, which takes 3 ms, half as long as it takes to read the record. Python has
its own implementation too, which the standard module `random` uses for the same reason.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hashlib import sha256
else:
    try:
        from _sha2 import sha256  # since Python 3.12
    except ImportError:
        try:
            from _sha256 import sha256
        except ImportError:  # of a Python that was built without it
            from hashlib import sha256


def digest(text: str) -> bytes:
    """Digest of a text in UTF-8, 32 bytes."""
    return sha256(text.encode()).digest()
