"""What this kernel can do is found out by trying, and trying leaves no trace."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from plumb.errors import NotFound
from plumb.kernel.features import detect, link_checks
from plumb.kernel.features.detect import able, tried
from tests import labs
from tests.labs import Lab

BRIDGE = "ip link add p0 type bridge; ip link add link p0 name x0 type"
SHELL = {
    "bridge": "ip link add x0 type bridge",
    "veth": "ip link add x0 type veth",
    "dummy": "ip link add x0 type dummy",
    "vxlan": "ip link add x0 type vxlan id 4096 dstport 4789",
    "macvlan": f"{BRIDGE} macvlan mode bridge",
    "ipvlan": f"{BRIDGE} ipvlan mode l2",
    "ipvlan-l3s": f"{BRIDGE} ipvlan mode l3s",
    "8021q": f"{BRIDGE} vlan id 10",
    "netem": "tc qdisc add dev lo root netem delay 1ms",
    "xfrm": "ip xfrm state",
    "esp4": "ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 1 mode transport "
    f"enc 'cbc(aes)' 0x{'11' * 16} auth 'hmac(sha1)' 0x{'22' * 20}",
    "sctp": (
        f"{sys.executable} -c 'import socket; "
        "socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)'"
    ),
    "ipv6": f"{sys.executable} -c 'import socket; socket.socket(socket.AF_INET6)'",
    "packet": (
        f"{sys.executable} -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)'"
    ),
    "conntrack": "iptables -A INPUT -m conntrack --ctstate NEW -j ACCEPT",
    "addrtype": "iptables -A INPUT -m addrtype --dst-type LOCAL -j ACCEPT",
    "policy": "iptables -A INPUT -m policy --dir in --pol none -j ACCEPT",
    "mark": "iptables -A INPUT -m mark --mark 1 -j ACCEPT",
    "bpf": "iptables -A INPUT -m bpf --bytecode '1,6 0 0 0' -j ACCEPT",
    "xt_ipvs": "iptables -A INPUT -m ipvs --ipvs -j ACCEPT",
    "MASQUERADE": "iptables -t nat -A POSTROUTING -j MASQUERADE",
    "DNAT": "iptables -t nat -A PREROUTING -j DNAT --to-destination 192.0.2.1",
    "REDIRECT": "iptables -t nat -A PREROUTING -p tcp -j REDIRECT --to-ports 80",
    "TRACE": "iptables -t raw -A PREROUTING -j TRACE",
    "ipv6-nat": "ip6tables -t nat -A POSTROUTING -j MASQUERADE",
    "ip_tables": "iptables-legacy -t nat -L",
    "ip6_tables": "ip6tables-legacy -t nat -L",
    "nf_tables": "nft add table ip x",
    "nft_chain_nat": (
        "nft add table ip x; nft add chain ip x c '{ type nat hook postrouting priority 0; }'"
    ),
    "nft_fib": "nft add table ip x; nft add chain ip x c; nft add rule ip x c fib daddr type local",
    "nft-trace": "nft add table ip x; nft add chain ip x c; nft add rule ip x c meta nftrace set 1",
}
"""What one would type to see whether a feature is there."""


@pytest.mark.parametrize("feature", SHELL)
def test_a_feature_is_there_when_the_systems_own_tool_can_use_it(feature: str, lab: Lab) -> None:
    """`able` comes to the same result as the command that one would type."""
    ran = subprocess.run(["sh", "-ec", SHELL[feature]], capture_output=True, text=True, check=False)

    assert able(feature).able == (ran.returncode == 0), ran.stderr


@pytest.mark.parametrize(
    ("feature", "module"),
    [("ipvs", "ip_vs"), ("netem", "sch_netem"), ("esp4", "esp4"), ("8021q", "8021q")],
)
def test_what_is_missing_is_told_in_a_line_with_its_module_and_the_kernels_words(
    feature: str, module: str
) -> None:
    """The reason for which a test that needs a feature is skipped names what to load."""
    found = able(feature)
    if found.able:
        pytest.skip(f"this kernel has {feature}")

    assert str(found).startswith(
        f"this kernel has no {feature}: modprobe {module}, or a kernel with CONFIG_"
    )
    assert found.said


@pytest.mark.needs("macvlan")
def test_a_mode_that_is_there_is_named() -> None:
    """Of macvlan and ipvlan one is told which modes there are."""
    assert able("macvlan").detail == "modes bridge, private, vepa, passthru"


def test_an_unknown_feature_is_an_error_that_names_the_nearest() -> None:
    """A mark with a typing error skips no test."""
    with pytest.raises(NotFound) as caught:
        able("ipvlam")

    assert caught.value.hint == "did you mean ipvlan?"


def test_trying_leaves_nothing_behind(lan: Lab) -> None:
    """Links, addresses, rules of all firewalls, sysctls, mounts and open files are what they were,
    here and in the process."""

    def now() -> tuple[object, ...]:
        return (
            labs.state(),
            labs.mounts(),
            len(os.listdir("/proc/self/fd")),
            sorted(Path("/sys/kernel/tracing").glob("instances/*")),
        )

    before = now()
    detect.abilities()

    assert now() == before


def test_trying_does_not_move_the_caller(lab: Lab) -> None:
    """While things are tried, all threads of the process are where they were."""

    def everywhere() -> set[str]:
        return {
            os.readlink(f"/proc/self/task/{task}/ns/net") for task in os.listdir("/proc/self/task")
        }

    home, before = os.readlink("/proc/thread-self/ns/net"), everywhere()
    seen: set[str] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.update(everywhere())

    watching = threading.Thread(target=watch)
    watching.start()
    list(tried(["bridge", "macvlan", "ping"]))
    done.set()
    watching.join()

    assert os.readlink("/proc/thread-self/ns/net") == home
    assert home in seen
    assert seen == before


def test_an_attempt_that_ends_the_process_does_not_disturb_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A C library that exits, or a kernel that kills, costs that feature only."""

    def die() -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return ""

    monkeypatch.setitem(link_checks.ATTEMPTS, "dummy", die)
    found = list(tried(["bridge", "dummy", "veth"]))

    assert [ability.able for ability in found] == [True, False, True]
    assert found[1].said == "exit status -9"


def test_an_attempt_that_does_not_come_to_an_end_does_not_disturb_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is given up after a minute; here after two seconds."""

    def wait() -> str:
        select.select([], [], [], 600)
        return ""

    monkeypatch.setattr(detect, "SECONDS", 2)
    monkeypatch.setitem(link_checks.ATTEMPTS, "dummy", wait)
    dummy, veth = tried(["dummy", "veth"])

    assert (dummy.able, dummy.said) == (False, "no answer within 2 s")
    assert veth.able


def test_a_refused_attempt_does_not_disturb_the_next() -> None:
    """What comes after a feature that is missing is found as if it were the first."""
    assert [ability.able for ability in tried(["bridge", "8021q", "bridge"])] == [
        True,
        able("8021q").able,
        True,
    ]
