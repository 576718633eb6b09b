"""Digests are those of hashlib."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest

from plumb.digest import digest
from tests import REPOSITORY


@pytest.mark.parametrize("text", ["", "sandbox 0123", "ä" * 1000])
def test_a_digest_is_sha256(text: str) -> None:
    """Of the text in UTF-8."""
    assert digest(text) == hashlib.sha256(text.encode()).digest()


def test_a_digest_loads_no_openssl() -> None:
    """Which takes 3 ms."""
    line = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n"
        "from plumb.digest import digest; digest('')\n"
        "assert '_hashlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-I", "-c", line], check=True)
