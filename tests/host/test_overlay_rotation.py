"""Keys of an encrypted network change while packets are on their way, and none is lost.

Two hosts of a cluster; the keys are the managers', and the leader makes each step of a rotation
when both hosts have reported the one before."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from plumb.errors import Conflict
from plumb.lab.hosts import Hosts, LabHost
from tests.host.swarm_hosts import pings, run, swarm
from tests.waiting import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("vxlan", "xfrm", "esp4", "aes-gcm", "bpf", "policy", "mark"),
]
PACKETS = 10_000
EVERY = 0.005
"""Seconds between two packets."""
ROTATE = (
    "from plumb.engine.cluster.swarm import SwarmClient; from plumb.model.paths import Layout; "
    "SwarmClient(Layout.of()).ask('rotate-encryption', {})"
)


@pytest.fixture
def pair() -> Iterator[Hosts]:
    """c1 on h1 and c2 on h2, on an encrypted network."""
    with swarm(2) as hosts:
        subnet = ("--subnet", "10.60.0.0/24")
        create = ("network", "create", "-d", "overlay", "--attachable", "--opt", "encrypted")
        hosts["h1"].plumb(*create, *subnet, "secret")
        run(hosts["h1"], "c1", "secret")
        run(hosts["h2"], "c2", "secret")
        until(lambda: pings(hosts["h1"], "c1", "c2"), "c1 reaches c2")
        yield hosts


def sends_by(host: LabHost) -> str:
    """SPI of the state that the host's policy names."""
    found = re.search(r"spi (0x[0-9a-f]+)", host.run("ip", "xfrm", "policy").stdout)
    return found[1] if found else ""


def rotate(host: LabHost) -> bool:
    """Begin a rotation; False while one is under way, or a node is late."""
    try:
        host.run(sys.executable, "-c", ROTATE)
    except Conflict as error:
        if "cannot rotate the keys of encrypted networks" not in str(error):
            raise
        return False
    return True


def test_no_packet_is_lost_while_keys_rotate(pair: Hosts) -> None:
    """10,000 packets, and an answer to each, over as many rotations as there is time for."""
    first, second = pair
    words = ("ping", "-n", "-q", "-i", str(EVERY), "-c", str(PACKETS), "-W", "20", "c2")
    keys = {sends_by(first)}
    with ThreadPoolExecutor(1) as pool:
        pinging = pool.submit(first.plumb, "exec", "c1", *words, seconds=900, check=False)
        while not pinging.done():
            if rotate(first):
                until(lambda: sends_by(first) not in keys, "h1 sends by the new key", 120)
                keys.add(sends_by(first))
        said = pinging.result().stdout
    print(f"{len(keys) - 1} rotations:", said)

    assert f"{PACKETS} packets transmitted, {PACKETS} received" in said
    assert len(keys) > 2
    assert sends_by(second)
