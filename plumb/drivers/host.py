"""host: no network stack of its own: the container uses the host's.

Same namespace, same links, same ports: what listens in the container listens on the host, and no
rule and no NAT stands in between. So there is nothing to build, and no port to publish.
"""

from __future__ import annotations

from collections.abc import Iterator

from plumb.model.cnm import Network
from plumb.model.settings import Settings
from plumb.things import Thing


def network(net: Network, settings: Settings) -> Iterator[Thing]:
    """Nothing."""
    yield from ()
