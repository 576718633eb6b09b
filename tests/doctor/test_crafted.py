"""Snapshots that somebody made by hand: each ends with findings or one line, and soon."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import pytest
from click.testing import CliRunner

from plumb.cli.diagnosis.doctor import doctor
from plumb.doctor import diagnose, document
from plumb.errors import Invalid
from plumb.model.diagnosis.finding import Finding
from plumb.model.diagnosis.snapshot import (
    ChainState,
    ContainerState,
    EndState,
    NamespaceState,
    NetworkState,
    RuleState,
    Snapshot,
)
from plumb.model.ports import Port

SUBNET = ip_network("172.20.0.0/24")


def snapshot(*chains: ChainState, **settings: str) -> Snapshot:
    """A host with one network, and a container with the published port 8080."""
    port = Port(80, "tcp", ip_address("0.0.0.0"), 8080)
    end = EndState("n", "", ip_interface("172.20.0.2/24"), None, (port,))
    net = NetworkState("n", "shop", "docker", "bridge", "br0", "", (SUBNET,), bridge_in_host=True)
    host = NamespaceState("host", chains=chains, settings=tuple(settings.items()))
    return Snapshot(host, (), (ContainerState("web", "docker", "web", (end,)),), (net,))


def found(given: Snapshot) -> dict[str, Finding]:
    """The findings by their ids."""
    return {each.id: each for each in diagnose.diagnose(given)}


def chain(name: str, *rules: RuleState, policy: str = "") -> ChainState:
    """A chain of iptables' table filter."""
    hook = "forward" if policy else ""
    return ChainState("iptables-nft", "ip", "filter", name, rules, hook, 0, policy)


def jump(target: str) -> RuleState:
    """A rule that jumps to a chain."""
    return RuleState(f"-j {target}", (), "jump", target)


@pytest.mark.parametrize("value", ["²", "9" * 5000, "-1", "", "1 2"])
@pytest.mark.parametrize(
    "name",
    [
        "net/netfilter/nf_conntrack_count",
        "net/netfilter/nf_conntrack_max",
        "net/ipv4/neigh/default/gc_thresh3",
    ],
)
def test_a_number_that_is_none(name: str, value: str) -> None:
    """A limit that no kernel has is no finding."""
    settings = {"net/netfilter/nf_conntrack_count": "9", "net/netfilter/nf_conntrack_max": "9"}
    assert not {"neighbours-full"} & found(snapshot(**{**settings, name: value})).keys()


def test_a_chain_that_jumps_to_itself() -> None:
    """No kernel takes one; the policy decides."""
    looped = snapshot(chain("FORWARD", jump("a"), policy="drop"), chain("a", jump("a")))
    assert "rules-flushed" in found(looped)


def test_chains_that_jump_twice_to_the_next() -> None:
    """Each is walked once, and not 2^40 times."""
    doubled = [chain(f"c{n}", jump(f"c{n + 1}"), jump(f"c{n + 1}")) for n in range(40)]
    found(snapshot(chain("FORWARD", jump("c0"), policy="drop"), *doubled))


def test_a_long_way_of_jumps() -> None:
    """nf_tables takes 16 of them; the walk ends, and the policy decides."""
    ahead = [chain(f"c{n}", jump(f"c{n + 1}")) for n in range(5000)]
    assert "rules-flushed" in found(snapshot(chain("FORWARD", jump("c0"), policy="drop"), *ahead))


def denied(words: str) -> dict[str, Finding]:
    """The findings with a rule of ufw's."""
    return found(snapshot(chain("ufw-user-input", RuleState(words, (), "drop"))))


def test_a_rule_of_ufw_is_about_all_clients() -> None:
    """`ufw deny from 192.0.2.1 to any port 8080` leaves the port open to others."""
    assert denied("-p tcp -m tcp --dport 8080 -j DROP")["ufw-bypassed"].grade == "likely"
    assert "ufw-bypassed" not in denied("-s 192.0.2.1/32 -p tcp -m tcp --dport 8080 -j DROP")


def test_a_rule_of_64_kib_is_read_in_one_pass() -> None:
    """A pattern that goes back would take minutes."""
    assert "ufw-bypassed" not in denied("-p tcp --dport 1 " * 3800)


def test_what_a_check_stumbles_over_is_no_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line that names the file, and no traceback."""

    def stumbles(snapshot: Snapshot) -> list[Finding]:
        raise RecursionError

    file = tmp_path / "host.json"
    file.write_text(document.written(Snapshot(NamespaceState("host"))))
    monkeypatch.setattr(diagnose, "diagnose", stumbles)

    ran = CliRunner().invoke(doctor, ["--from", str(file)])

    assert isinstance(ran.exception, Invalid)
    assert str(ran.exception) == f"{file} is no snapshot: RecursionError"
