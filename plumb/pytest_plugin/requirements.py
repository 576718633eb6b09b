"""Gates: what a test needs of the kernel, found out by trying.

It is skipped where that is not there, and the reason said.

A suite that skips everything is green. With --plumb-strict what would be skipped fails, so that a
machine which was set up to run the tests does run them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

import pytest

ROOT = "labs need root: namespaces of its own are made for each; run pytest as root (sudo)"


def require(features: Sequence[str], *, strict: bool) -> None:
    """Go on only where the kernel has all of these.

    Args:
        features: by plumb's names, as `plumb env` shows them.
        strict: fail rather than skip.

    Raises:
        NotFound: there is no feature of that name.
    """
    __tracebackhide__ = True
    require_root(strict=strict)
    from plumb.pytest_plugin import forkserver_client

    for feature in features:
        able, said = forkserver_client.the().able(feature)
        if not able:
            turn_away(said, strict=strict)


def require_driver(driver: str, *, strict: bool) -> None:
    """Go on only where the kernel has what a network driver needs."""
    __tracebackhide__ = True
    from plumb.kernel.features.table import GROUPS

    require(
        [feature for group in GROUPS if group.name == driver for feature in group.needs],
        strict=strict,
    )


def require_root(*, strict: bool) -> None:
    """Go on only as root."""
    __tracebackhide__ = True
    if os.geteuid() != 0:
        turn_away(ROOT, strict=strict)


def turn_away(reason: str, *, strict: bool) -> NoReturn:
    """Skip, or fail."""
    __tracebackhide__ = True
    if strict:
        pytest.fail(f"{reason} (--plumb-strict: not skipped)", pytrace=False)
    pytest.skip(reason)
