"""The host's name server is the LAN's router, whoever's it is outside."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import labs
from tests.labs import sh


@pytest.fixture(scope="module", autouse=True)
def name_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A resolv.conf with a server."""
    given = tmp_path_factory.mktemp("etc") / "resolv.conf"
    given.write_text(f"nameserver {labs.ROUTER}\n")
    sh(f"mount --bind {given} /etc/resolv.conf")
    yield
    sh("umount /etc/resolv.conf")
