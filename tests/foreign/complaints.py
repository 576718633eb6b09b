"""Complaints of docs/docker-host.md: what somebody reported, how it is injected, who answers.

`tests/foreign/test_complaints.py` holds the page's answers against those that are printed;
`python -m tests.foreign.complaints`, in namespaces of its own, prints the page's section.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import NamedTemporaryFile

import pytest

from tests import labs
from tests.foreign.dockerd import Dockerd, dockerd
from tests.labs import sh

HEADING = "## Ten complaints, and plumb's answers"
INTRODUCTION = (
    "Each was reported in public. The tests bring a running Engine of 20.10 to the same state, and"
    " hold that plumb prints this; what else it finds\non that host is left out here."
)
AGAIN = "systemctl restart docker"
SERVED = ("httpd", "-f", "-h", "/www", "-p")


@dataclass(frozen=True)
class Complaint:
    """A complaint.

    Attributes:
        title: in a line; url: the public report; finding: the id of the right answer.
        inject: a shell line; empty: the host has it already. undo: what takes it back.
        ask: the words of the command that is asked.
    """

    title: str
    url: str
    finding: str
    inject: str = ""
    undo: str = ""
    ask: str = "doctor"


GITHUB = "https://github.com"
COMPLAINTS = (
    Complaint(
        "a port that ufw denies is open",
        f"{GITHUB}/moby/moby/issues/4737",
        "ufw-bypassed",
        "iptables -N ufw-user-input; iptables -A ufw-user-input -p tcp --dport 8080 -j DROP",
        "iptables -F ufw-user-input; iptables -X ufw-user-input",
    ),
    Complaint(
        "no network access in containers, the MASQUERADE rule is missing",
        f"{GITHUB}/moby/moby/issues/41795",
        "no-masquerade",
        "iptables -t nat -D POSTROUTING -s 172.20.0.0/24 ! -o {n1} -j MASQUERADE",
        "iptables -t nat -A POSTROUTING -s 172.20.0.0/24 ! -o {n1} -j MASQUERADE",
    ),
    Complaint(
        "containers have no network after the iptables service was restarted",
        f"{GITHUB}/moby/moby/issues/12294",
        "rules-flushed",
        "iptables -F FORWARD; iptables -P FORWARD DROP",
        AGAIN,
    ),
    Complaint(
        "containers lose the network when systemd-sysctl is restarted",
        f"{GITHUB}/NixOS/nixpkgs/issues/118656",
        "ip-forward-off",
        "sysctl -qw net.ipv4.ip_forward=0",
        "sysctl -qw net.ipv4.ip_forward=1",
    ),
    Complaint(
        "a forward chain of nftables with policy drop drops containers' packets",
        f"{GITHUB}/containers/netavark/issues/977",
        "second-firewall",
        "nft add table inet filter; nft add chain inet filter forward"
        " '{{ type filter hook forward priority 0; policy drop; }}'",
        "nft delete table inet filter",
    ),
    Complaint(
        "connection reset by peer on the host, and inside the container it works",
        f"{GITHUB}/docker-library/python/issues/95",
        "listens-on-loopback",
    ),
    Complaint(
        "a container is not reached by its name on the default network",
        f"{GITHUB}/docker/for-win/issues/1009",
        "no-names-on-default",
        ask="doctor plain dflt",
    ),
    Complaint(
        "a container does not reach one of another network",
        f"{GITHUB}/moby/moby/issues/38784",
        "no-common-network",
        ask="doctor far web:80",
    ),
    Complaint(
        "Docker's subnet overlaps the LAN's",
        f"{GITHUB}/bitwarden/server/issues/947",
        "subnet-overlap",
        "ip route add 172.20.0.0/15 via 192.0.2.1",
        "ip route del 172.20.0.0/15",
    ),
    Complaint(
        "no name resolves with a name server at 127.0.0.53",
        f"{GITHUB}/moby/libnetwork/issues/1654",
        "dns-loopback",
    ),
)
CHANGING = re.compile(r"br-[0-9a-f]{12}|pid \d+|veth[0-9a-f]{7}")
"""Words that another run has otherwise."""


@contextmanager
def host() -> Iterator[Dockerd]:
    """An Engine with the containers of the complaints."""
    with NamedTemporaryFile("w") as resolv, dockerd(live_restore=True) as made:
        print(f"nameserver {labs.ROUTER}", file=resolv, flush=True)
        sh(f"mount --bind {resolv.name} /etc/resolv.conf")
        made.network("n1", "172.20.0.0/24")
        made.network("n2", "172.22.0.0/24")
        made.run("web", "n1", *SERVED, "80", publish={"80/tcp": "8080"})
        made.run("inner", "n1", *SERVED, "127.0.0.1:80", publish={"80/tcp": "8082"})
        made.run("far", "n2")
        made.run("plain", "bridge")
        made.run("dflt", "bridge", Dns=["127.0.0.53"])
        made.listens("web", 80)
        made.listens("inner", 80)
        try:
            yield made
        finally:
            sh("umount /etc/resolv.conf")


def run(docker: Dockerd, line: str) -> None:
    """Run a shell line, or one of systemctl's, which the tests play."""
    if line.startswith("systemctl"):
        docker.cli(line)
    elif line:
        sh(line.format(n1=docker.link("n1")))


def answer(docker: Dockerd, each: Complaint) -> str:
    """The finding that plumb prints about a complaint; empty where it has another answer."""
    run(docker, each.inject)
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in docker.environment.items():
                patch.setenv(name, value)
            said = docker.lab.plumb(*each.ask.split(), status=None).stdout
    finally:
        run(docker, each.undo)
    for part in said.split("\n\n"):
        if part.endswith(f"#{each.finding}"):
            return part
    return ""


def block(docker: Dockerd, each: Complaint) -> str:
    """The page's text of a complaint."""
    lines = [each.inject.format(n1=docker.link("n1"))] if each.inject else []
    typed = "\n".join(f"# {line}" for line in (*lines, f"plumb {each.ask}"))
    head = f"**[{each.title[0].upper()}{each.title[1:]}]({each.url})**"
    return f"{head}\n\n```text\n{typed}\n{answer(docker, each)}\n```"


def main() -> None:
    """Print the page's section."""
    with host() as docker:
        print(HEADING, INTRODUCTION, *(block(docker, each) for each in COMPLAINTS), sep="\n\n")


if __name__ == "__main__":
    main()
