"""A host with more rules of others' than plumb reads: they are not listed, and that is said."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plumb.errors import KernelRefused
from plumb.kernel.netfilter import foreign_chains, iptables_save
from tests import labs
from tests.host.trial_hosts import tried
from tests.labs import Lab, sh

MANY = 30_000
"""Rules of nft, of some 300 bytes each."""


@pytest.fixture(scope="module")
def crowded() -> Iterator[Lab]:
    """A host with a container, and a table of somebody's with as many rules."""
    with labs.lab() as lab, lab.host() as host:
        host.run("web")
        sh(
            "(echo 'table inet big { chain c { type filter hook forward priority 0;';"
            f" seq {MANY} | sed 's/.*/ip saddr 192.0.2.1 ip daddr 192.0.2.2 udp dport 53 drop/';"
            " printf '}\\n}\\n') | nft -f -"
        )
        yield lab


def test_check_says_what_it_has_not_read(crowded: Lab) -> None:
    """It is not green, and what it has compared with the record stays said."""
    status, said = tried(crowded, "check")
    assert status == 1
    assert said == (
        "plumb: not checked: rules that others have written: "
        "cannot read the rules: nf_tables has more than 8 MiB\n"
    )


def test_they_are_not_listed(crowded: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """libnftables would make text of all of them first."""

    def refused(command: object) -> list[object]:
        assert command == "list chains"
        return listed(command)

    listed = foreign_chains.nft_json
    monkeypatch.setattr(foreign_chains, "nft_json", refused)
    with crowded.host() as host, pytest.raises(KernelRefused, match="more than 8 MiB"):
        host.obstacles()


def test_a_network_is_made_all_the_same(crowded: Lab) -> None:
    """Nothing of a network depends on them."""
    assert tried(crowded, "network", "create", "--internal", "shop")[0] == 0


def test_ports_are_listed_without_them(crowded: Lab) -> None:
    """Whether others' rules drop them is not known then, and that is said."""
    status, said = tried(crowded, "port")
    assert (status, "nf_tables has more than 8 MiB" in said) == (0, True)


def test_iptables_save_is_stopped(crowded: Lab) -> None:
    """Behind as many bytes as are read."""
    with pytest.raises(KernelRefused, match="iptables-nft-save: more than 0 MiB"):
        iptables_save.saved("iptables-nft-save", most=100)
    assert "filter" in iptables_save.saved("iptables-nft-save", most=1 << 20)
