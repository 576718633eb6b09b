"""plumb does what a real Docker Engine did.

In the kernel, in files, in what it says, and for traffic.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest

from tests import labs
from tests.conformance import later
from tests.conformance.facts import Difference, differences, misordered
from tests.conformance.recording import play
from tests.conformance.scenarios import recorded, scenarios

BOOK = scenarios()


def _encrypted(name: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.needs(*later.ESP)] if name.endswith("encrypted") else []


def _marks(name: str) -> list[pytest.MarkDecorator]:
    """What a scenario waits for: plumb, else a kernel's feature."""
    if why := later.missing(name):
        return [pytest.mark.skip(why)]
    needs = BOOK[name].needs
    own = [pytest.mark.needs(*later.FEATURES.get(needs, (needs,)))] if needs else []
    if needs != "ip_vs":
        return own
    # A guest plays them some minutes each, and `test_services_without_ipvs` plays all of them.
    return [*own, *_encrypted(name), pytest.mark.sampled(5)]


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(name, marks=_marks(name)) for name in BOOK])
def test_does_what_docker_did(name: str) -> None:
    """Every fact of the scenario is Docker's; afterwards the host is as bare as before."""
    docker, seen = recorded(name), play(BOOK[name])
    _fail(
        [
            *_unintended(name, differences(docker, seen)),
            *(f"~ [order] {each}" for each in misordered(docker, seen)),
        ]
    )


def _unintended(name: str, found: Iterable[Difference]) -> list[str]:
    return [
        str(each)
        for each in found
        if not later.intended(name, each.fact)
        and not any(re.search(pattern, each.fact) for pattern in BOOK[name].ignore)
    ]


def _fail(wrong: Sequence[str]) -> None:
    if wrong:
        pytest.fail(
            f"{len(wrong)} facts differ (- Docker's, + plumb's):\n" + "\n".join(wrong),
            pytrace=False,
        )


BALANCED = [
    pytest.param(name, marks=_encrypted(name))
    for name in BOOK
    if BOOK[name].needs == "ip_vs" and not later.missing(name)
]


@pytest.mark.slow
@pytest.mark.parametrize("name", BALANCED)
def test_services_without_ipvs(name: str) -> None:
    """Who is reached, by which name and from where, is Docker's also where the firewall balances.

    Left out are the balancers' own tables alone.
    """
    found = differences(recorded(name), play(BOOK[name]))
    _fail(_unintended(name, (each for each in found if not later.balancing(name, each.fact))))


FORWARDS = (
    "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 "
    "net.ipv6.conf.default.forwarding=1"
)
ELSEWHERE = [
    ("dns-alias", "legacy"),
    *(
        (name, "nftables")
        for name in ("dns-alias", "dns-options", "dns-internal", "bridge-link", "three-tier")
    ),
]


@pytest.mark.slow
@pytest.mark.sampled(3, "backend")
@pytest.mark.parametrize(("name", "backend"), ELSEWHERE)
def test_names_on_other_firewalls(name: str, backend: str) -> None:
    """Files, sockets and answers are the same, whatever writes the rules that lead there."""
    chosen = {"firewall-backend": "nftables"} if backend == "nftables" else {}
    scenario = replace(BOOK[name], daemon={**BOOK[name].daemon, **chosen}, host_setup=(FORWARDS,))
    with labs.iptables("legacy" if backend == "legacy" else ""):
        found = [
            each
            for each in differences(recorded(name), play(scenario))
            if each.group in ("files", "container", "reach")
        ]
    assert [str(each) for each in found if not re.search(r" (iptables|nft) ", each.fact)] == []
