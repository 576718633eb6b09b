"""Lab hosts: a fresh network namespace that plays the host, with a LAN beside it if asked for.

    internet ── router, port0 ── eth0 of the host

The addresses are the LAN's of `plumb.lab.lan`, which every test reads here.
The calling thread is in the host's namespace for the length of a with block; programs that it
starts are as well. Nothing here ever touches the machine's own network: `refuse_the_machine` sees
to it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from plumb import Host
from plumb.kernel import agent_client
from plumb.kernel.netfilter import backends
from plumb.kernel.netns import namespaces
from plumb.kernel.netns.namespaces import entered
from plumb.lab.lan import LAN as LAN
from plumb.lab.lan import Station
from plumb.model.cnm import Sandbox
from tests import REPOSITORY, forked

SUBNET, SUBNET6 = str(LAN.subnet), str(LAN.subnet6)
ROUTER, ROUTER6 = str(LAN.router.v4.ip), str(LAN.router.v6.ip)
HOST_IP, HOST_IP6 = str(LAN.host.v4.ip), str(LAN.host.v6.ip)
INTERNET, INTERNET6 = str(LAN.internet), str(LAN.internet6)


def refuse_the_machine() -> None:
    """Stop at once when this process is in the machine's own network namespace."""
    if os.geteuid() != 0:
        pytest.exit("the tests need root: sudo make test", 1)
    outside = os.environ.get(
        "PLUMB_TESTS_OUTSIDE", ""
    )  # the namespace that the tests were started from
    if not outside or os.readlink("/proc/self/ns/net") == outside:
        pytest.exit("run 'make test': it gives the tests a network namespace of their own", 1)


def sh(command: str, check: bool = True) -> str:
    """Run a shell line where the calling thread is; what it printed."""
    ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    if check and ran.returncode:
        raise AssertionError(f"{command}: {ran.stderr.strip()}")
    return ran.stdout


def within(namespace: str, command: str, check: bool = True) -> str:
    """Run a shell line in a namespace; what it printed."""
    with entered(namespace):
        return sh(command, check)


@dataclass
class Lab:
    """A host to build on.

    Attributes:
        root: plumb's root.
        netns: the host's own namespace file; lan: the LAN's, empty without one.
        launcher: the compiled `plumb` command, where a process of its own is to be that.
    """

    root: Path
    netns: str
    lan: str = ""
    launcher: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """The command line's first words, in a process of its own."""
        return (self.launcher,) if self.launcher else (sys.executable, "-m", "plumb")

    def host(self, **asked: object) -> Host:
        """plumb on this lab's root."""
        return Host(self.root, **{"settings": {}, **asked})  # type: ignore[arg-type]  # the keywords are Host's own

    def plumb(
        self, *argv: str, status: int | None = 0, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line in a fork; status None takes any."""
        own = {"PLUMB_ROOT": str(self.root), "PYTHONPATH": str(REPOSITORY), **(env or {})}
        ran = forked.run(argv, {**os.environ, **own}, lambda: os.chdir("/"))
        assert status is None or ran.returncode == status, (
            f"plumb {' '.join(argv)}: {ran.returncode}: {ran.stderr or ran.stdout}"
        )
        return ran

    def command(self, *argv: str, env: dict[str, str] | None = None) -> None:
        """Run the command line in a process of its own, as a shell does: where time counts."""
        own = {"PLUMB_ROOT": str(self.root), "PYTHONPATH": str(REPOSITORY), **(env or {})}
        ran = subprocess.run(
            [*self.words, *argv],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env={**os.environ, **own},
        )
        assert ran.returncode == 0, f"plumb {' '.join(argv)}: {ran.stderr or ran.stdout}"

    def inside(self, host: Host, box: Sandbox | str, command: str, check: bool = True) -> str:
        """Run a shell line in a container's namespace."""
        found = host.container(box) if isinstance(box, str) else box
        return within(host.namespace(found), command, check)


@contextmanager
def lab(lan: bool = False) -> Iterator[Lab]:
    """A lab host, gone with all that is in it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="plumb-lab-"))
    netns, beside = f"{folder}/host", f"{folder}/lan" if lan else ""
    made = [path for path in (netns, beside) if path]
    try:
        for path in made:
            namespaces.make(path)
        with entered(netns):
            sh("ip link set lo up; sysctl -qw net.ipv6.conf.default.accept_dad=0")
            if lan:
                _attach(beside)
            yield Lab(folder / "root", netns, beside)
    finally:
        agent_client.stop(str(folder / "root"))
        for path in [*made, *map(str, (folder / "root/netns").glob("*"))]:
            namespaces.drop(path)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def iptables(kind: str) -> Iterator[None]:
    """A host whose iptables is of that kind, nf_tables or legacy, for the length of a with block.

    "" for what it is.
    """
    before = os.environ.get("PLUMB_IPTABLES", "")
    os.environ["PLUMB_IPTABLES"] = kind
    backends.writer.cache_clear()
    try:
        yield
    finally:
        os.environ["PLUMB_IPTABLES"] = before
        backends.writer.cache_clear()


def _attach(beside: str) -> None:
    sh(f"ip link add eth0 type veth peer name port0 netns {beside}")
    up = "sysctl -qw net.ipv6.conf.port0.accept_dad=0; ip link set port0 up"
    within(beside, f"{up}; {router('port0')}")
    sh(station(LAN.host))


def router(dev: str) -> str:
    """Shell line that makes a namespace the LAN's router.

    Args:
        dev: its interface on the LAN.
    """
    return f"""sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
        ip link set lo up
        ip addr add {LAN.router.v4} dev {dev}; ip addr add {LAN.router.v6} dev {dev} nodad
        ip addr add {INTERNET}/32 dev lo; ip addr add {INTERNET6}/128 dev lo nodad"""


def station(own: Station) -> str:
    """Shell line that puts eth0 of a namespace on the LAN.

    Args:
        own: its addresses there.
    """
    return f"""ip link set eth0 up
        ip addr add {own.v4} dev eth0; ip addr add {own.v6} dev eth0 nodad
        ip route add default via {ROUTER}; ip -6 route add default via {ROUTER6}"""


# -- what a host looks like ---------------------------------------------------------------

SYSCTLS = (
    "net/ipv4/ip_forward",
    "net/ipv6/conf/*/forwarding",
    "net/ipv6/conf/*/accept_ra",
    "net/ipv6/conf/*/disable_ipv6",
    "net/ipv4/conf/*/route_localnet",
    "net/ipv4/ping_group_range",
    "net/ipv4/ip_unprivileged_port_start",
    "net/bridge/bridge-nf-call-*",
)


def state(sandboxes: dict[str, str] | None = None) -> dict[str, list[str]]:
    """What there is in the calling thread's namespace, read with the system's own tools, as lines.

    Args:
        sandboxes: label and namespace file of sandboxes to include.
    """
    found = {
        "links": sorted(_link(line) for line in _lines("ip", "-o", "-d", "link", "show")),
        "addresses": sorted(
            line.partition(": ")[2].partition("\\")[0]
            for line in _lines("ip", "-o", "address", "show", "scope", "global")
        ),
        "routes": sorted(
            line.replace(" linkdown", "")
            for version in ("-4", "-6")
            for line in _lines("ip", version, "route", "show")
            if "fe80::/64" not in line
        ),
        "sysctls": sorted(
            f"{path}: {_read(path)}"
            for pattern in SYSCTLS
            for path in Path("/proc/sys").glob(pattern)
        ),
        "listeners": sorted(
            " ".join(line.split()[i] for i in (0, 4)) for line in _lines("ss", "-Hlntu")
        ),
        "iptables": _rules("iptables"),
        "ip6tables": _rules("ip6tables"),
        "nft": _native(),
        "xfrm": [*_lines("ip", "xfrm", "state"), *_lines("ip", "xfrm", "policy")],
        "neighbours": sorted(_lines("ip", "neigh", "show", "nud", "permanent")),
        "fdb": sorted(line for line in _lines("bridge", "fdb", "show") if " dst " in line),
    }
    for label, path in (sandboxes or {}).items():
        with entered(path):
            found.update({f"{label} {what}": lines for what, lines in state().items()})
    return found


def _lines(*argv: str) -> list[str]:
    ran = subprocess.run(argv, capture_output=True, text=True, check=False)
    return [" ".join(line.split()) for line in ran.stdout.splitlines()]


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""  # the link went while we looked


LINK = re.compile(
    r"^\d+: ([^:]+?)(@\S+)?: <([^>]*)> mtu (\d+).*?(master \S+|(?=state)).*?(hairpin (on|off)|$)"
)


def _link(line: str) -> str:
    """A link without what is the kernel's own choice: index, random MAC, counters."""
    match = LINK.match(line)
    assert match is not None, line
    flags = ",".join(sorted(set(match[3].split(",")) & {"UP", "NOARP", "PROMISC"}))
    return " ".join(filter(None, (match[1], flags, "mtu", match[4], match[5], match[6])))


def _rules(tool: str) -> list[str]:
    """Rules in their chains' order, and policies other than ACCEPT.

    Chains that nobody fills are left out.
    """
    found: list[str] = []
    for variant in ("nft-", "legacy-"):
        table = ""
        for line in _lines(f"{tool}-{variant}save"):
            if line.startswith("*"):
                table = line[1:]
            elif line.startswith(":") and " ACCEPT " not in line:
                found.append(f"{table} {line.split(' [')[0]}")
            elif line.startswith("-A"):
                found.append(f"{table} {line}")
    return found


FRONT_ENDS = ("filter", "nat", "mangle", "raw", "security")


def _native() -> list[str]:
    """What is in nft's own tables, not those which iptables keeps there.

    Chain by chain, the rules in their order.
    """
    blocks: dict[str, list[str]] = {}
    table = block = ""
    for line in _lines("nft", "-s", "list", "ruleset"):
        words = line.split()
        if line.startswith("table "):
            table = block = "" if words[2] in FRONT_ENDS else f"{words[1]} {words[2]}"
        elif line.startswith(("chain ", "map ", "set ")):
            block = f"{table} {words[0]} {words[1]}"
        elif line == "}":
            block = table
        if table and line and line != "}":
            blocks.setdefault(block, []).append(line)
    return [f"{block}: {line}" for block in sorted(blocks) for line in blocks[block]]


def mounts() -> list[str]:
    """What is mounted where this process lives."""
    return sorted(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())


def processes() -> set[str]:
    """Processes of plumb's in this mount namespace: shims, announcers, agents, warm ones."""
    found, here = set(), os.readlink("/proc/self/ns/mnt")
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
                elsewhere = os.readlink(entry / "ns/mnt") != here
            except OSError:
                continue
            if not elsewhere and any(
                name in words
                for name in ("shim.py", "gratuitous_arp.py", "plumb.agent", "plumb.prefork.server")
            ):
                found.add(f"{entry.name} {words}")
    return found
