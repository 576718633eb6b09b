"""The mark `needs`: what a test takes that not every kernel has.

    @pytest.mark.needs("ipvlan")                    the names are those of plumb.kernel.features
    @pytest.mark.needs("8021q", "macvlan")          all of them

Whether it is there is found out by trying, once. A test whose feature is missing is skipped, and
runs in the guest (tests/vm), where nothing may be missing: there, with PLUMB_TESTS_STRICT=1, it
fails."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache

import pytest

from plumb.kernel.features.detect import able

STRICT = "PLUMB_TESTS_STRICT"


def lacking(item: pytest.Item) -> str:
    """What a test needs and this kernel does not have, in a line; empty if all is there."""
    features = needed(item)
    if features:
        _load_what_tries()
    return "; ".join(str(found) for found in map(able, features) if not found.able)


@cache
def _load_what_tries() -> None:
    """Import here what each attempt imports in a process of its own: half a minute in a guest."""
    with suppress(Exception):  # where a library is missing, the attempts say so
        import iptc  # noqa: F401

        from plumb.kernel.features import link_checks, netfilter_checks  # noqa: F401


def needed(item: pytest.Item) -> list[str]:
    """The features that a test is marked with, each once."""
    return list(
        dict.fromkeys(feature for mark in item.iter_markers("needs") for feature in mark.args)
    )


def check(item: pytest.Item) -> None:
    """Skip a test that cannot be run here, or fail it where everything should be."""
    if missing := lacking(item):
        if os.environ.get(STRICT):
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)
