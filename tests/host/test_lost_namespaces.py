"""A namespace whose file was lost: a repair mends it, and goes past what it cannot mend."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from plumb import Host
from plumb.kernel.process import commands
from tests.host.trial_hosts import plumb, tried
from tests.labs import Lab, sh, within
from tests.programs import running
from tests.waiting import until

LOSSES = {"the mount": "umount -l {path}", "the file": "umount -l {path}; rm {path}"}


@dataclass
class Shop:
    """A network with three containers; "web" runs a command."""

    lab: Lab
    host: Host

    def path(self, name: str) -> str:
        """A container's namespace file."""
        return self.host.namespace(self.host.container(name))

    def veth(self, name: str) -> str:
        """A container's veth in the host."""
        return self.host.endpoints(self.host.container(name))[0].link

    def flows(self) -> bool:
        """Tell whether each container reaches the gateway."""
        return all(
            "1 received" in within(self.path(name), "ping -c1 -W2 10.9.0.1", check=False)
            for name in ("web", "db", "cache")
        )


@pytest.fixture
def shop(lab: Lab) -> Iterator[Shop]:
    """The shop, which is whole."""
    with lab.host() as host:
        host.create_network("shop", subnet="10.9.0.0/24")
        host.run("web", network="shop", command=["sleep", "600"])
        host.run("db", network="shop")
        host.run("cache", network="shop")
        made = Shop(lab, host)
        assert made.flows()
        yield made
        host.reset()


@pytest.mark.parametrize("loss", LOSSES)
def test_a_running_commands_namespace_is_found_again(loss: str, shop: Shop) -> None:
    """The command runs on in the same namespace, and all is as before."""
    box = shop.host.container("web")
    pid = commands.alive(shop.host.layout.container(box.id))[0]
    inode = os.stat(shop.path("web")).st_ino
    sh(LOSSES[loss].format(path=shop.path("web")))
    assert "missing: namespace" in tried(shop.lab, "check")[1]
    plumb(shop.lab, "repair")
    assert tried(shop.lab, "check") == (0, "")
    assert os.stat(shop.path("web")).st_ino == inode
    assert commands.alive(shop.host.layout.container(box.id))[0] == pid
    assert shop.flows()


@pytest.mark.parametrize("loss", LOSSES)
def test_a_namespace_that_cannot_be_found_is_built_anew(loss: str, shop: Shop) -> None:
    """Somebody else's process keeps the lost one and its end of the veth pair: another is made."""
    path = shop.path("db")
    with running(["nsenter", f"--net={path}", "sleep", "600"]) as keeper:
        inside = os.stat(path).st_ino
        until(
            lambda: os.stat(f"/proc/{keeper.pid}/ns/net").st_ino == inside, "the keeper is inside"
        )
        sh(LOSSES[loss].format(path=path))
        sh(f"ip link del {shop.veth('cache')}")
        plumb(shop.lab, "repair")
    assert tried(shop.lab, "check") == (0, "")
    assert shop.flows()


def test_a_repair_goes_past_what_it_cannot_restore(shop: Shop) -> None:
    """What is in its way is named, with status 1; all other containers are restored."""
    taken = shop.veth("db")
    within(shop.path("cache"), "ip addr flush dev eth0")
    within(shop.path("web"), "ip route del default")
    sh(f"ip link del {taken}; ip link add {taken} type bridge")
    status, printed = tried(shop.lab, "repair")
    assert (status, f"veth {taken}" in printed) == (1, True), printed
    left = tried(shop.lab, "check")[1]
    assert taken in left
    for name in ("web", "cache"):
        assert "1 received" in within(shop.path(name), "ping -c1 -W2 10.9.0.1")
    assert left.count("route default") == 1
    sh(f"ip link del {taken}")
    plumb(shop.lab, "repair")
    assert shop.flows()
