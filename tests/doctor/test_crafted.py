"""Snapshots that somebody made by hand: each ends with findings or one line, and soon."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from plumb.cli.diagnosis.doctor import doctor
from plumb.doctor import diagnose, document
from plumb.errors import Invalid
from plumb.model.diagnosis.finding import Finding
from plumb.model.diagnosis.snapshot import ChainState, NamespaceState, RuleState, Snapshot
from tests.doctor.made import SHOP, chain, found, rule, web


def snapshot(*chains: ChainState, **settings: str) -> Snapshot:
    """A host with one network, and a container with the published port 8080."""
    host = NamespaceState("host", chains=chains, settings=tuple(settings.items()))
    return Snapshot(host, (), (web("tcp"),), (SHOP,))


def jump(target: str) -> RuleState:
    """A rule that jumps to a chain."""
    return rule(f"-j {target}", "jump")


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
    return found(snapshot(chain("ufw-user-input", rule(words, "drop"))))


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
