"""What a namespace's own stack knows.

Its addresses, and the neighbours that it has learnt and can be made to forget.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_interface

import pytest

from plumb.kernel.net.neighbours import forget_neighbours, own_addresses, table
from tests.labs import HOST_IP, HOST_IP6, ROUTER, ROUTER6, Lab, sh

ROUTERS = {ip_address(ROUTER), ip_address(ROUTER6)}


def test_ones_own_addresses(lan: Lab) -> None:
    """The global ones, each with its link; not those of lo."""
    assert own_addresses() == [
        ("eth0", ip_interface(f"{HOST_IP}/24")),
        ("eth0", ip_interface(f"{HOST_IP6}/64")),
    ]


def test_what_was_learnt_is_forgotten(lan: Lab) -> None:
    """Of both families, and nobody else."""
    sh(
        f"ping -c1 -W10 {ROUTER}; ping -c1 -W10 {ROUTER6}; "
        "ip neigh replace 192.0.2.99 lladdr 02:00:00:00:00:99 dev eth0 nud reachable"
    )

    assert forget_neighbours(ROUTERS) == 2
    assert {line.split()[0] for line in sh("ip neigh show").splitlines()}.isdisjoint(
        map(str, ROUTERS)
    )
    assert "192.0.2.99" in sh("ip neigh show")
    assert forget_neighbours(ROUTERS) == 0


def test_what_somebody_wrote_down_stays(lan: Lab) -> None:
    """A permanent neighbour was not learnt."""
    sh(f"ip neigh replace {ROUTER} lladdr 02:00:00:00:00:99 dev eth0 nud permanent")

    assert forget_neighbours(ROUTERS) == 0
    assert "02:00:00:00:00:99" in sh(f"ip neigh show {ROUTER}")


@pytest.mark.parametrize("version", [4, 6])
def test_the_table_of_all_namespaces(version: int) -> None:
    """The kernel counts its entries, and the neighbours that it had no room for."""
    before, after = table(version), table(version)

    assert before is not None
    assert after is not None
    assert after.entries > 0 or version == 6
    assert after.since(before).fulls >= 0
