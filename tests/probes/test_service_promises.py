"""`plumb matrix` of a host with services: virtual addresses, published ports and names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from plumb.model.service.virtual import Balancing
from plumb.plan import Step
from plumb.things import Thing
from plumb.things.iptables import Rule
from plumb.things.layer3 import Address
from plumb.things.nftables import NftRule
from tests.host.service_hosts import VIP, ServiceHost, published_site
from tests.probes.conftest import Typed, objects

pytestmark = pytest.mark.needs("vxlan")
BACKENDS = [
    pytest.param("iptables", marks=pytest.mark.needs("statistic")),
    pytest.param("nftables", marks=pytest.mark.needs("nft_numgen")),
]
AS_PROMISED = """\
services   web:8080/tcp   web
web1                      ●
web2                      ●
c1                        ●
(host)     ●
(world)    ●
"""


@pytest.fixture(scope="module", params=BACKENDS)
def site(request: pytest.FixtureRequest) -> Iterator[ServiceHost]:
    """Two tasks of web on n1, their port 80 published as 8080, and a client c1."""
    with published_site(request.param) as made:
        yield made


@pytest.fixture(autouse=True)
def served(site: ServiceHost) -> None:
    """Each test begins with both tasks in service."""
    site.balance(site.service(aliases=("www",)))
    site.balance(site.published())


def tried(site: ServiceHost, typed: Typed, **match: object) -> list[dict[str, Any]]:
    """The promises of one kind that the matrix has tried, as --json tells."""
    found = objects(typed(site.lab, "matrix --from $LAN --json -W 0.3")[1])
    return [each for each in found if match.items() <= each.items()]


def service_kinds(site: ServiceHost, typed: Typed) -> dict[tuple[str, int | None], set[str]]:
    """The verdicts for each client, and port or None."""
    found: dict[tuple[str, int | None], set[str]] = {}
    for each in tried(site, typed, kind="service"):
        found.setdefault((each["from"], each["port"]), set()).add(each["verdict"])
    return found


def test_each_task_is_reached(site: ServiceHost, typed: Typed) -> None:
    """By the virtual address from its network, by the port from the host and from outside."""
    status, text = typed(site.lab, "matrix --from $LAN -W 0.3")
    assert text.endswith("all as promised\n"), text
    assert AS_PROMISED in text
    assert status == 0


def test_a_drained_task_gets_none(site: ServiceHost, typed: Typed) -> None:
    """All connections come to the other one, and that is promised."""
    site.balance(site.service(backends=site.backends("n1", web2=0)))
    found = tried(site, typed, kind="service", **{"from": "c1"})
    assert [(each["expected"], each["verdict"]) for each in found] == [(["web1"], "kept")]
    assert [set(each["observed"]) for each in found] == [{"web1"}]


def test_a_drained_task_that_gets_one_breaks_the_promise(site: ServiceHost, typed: Typed) -> None:
    """The rules lead there as before, as if the host had missed the change."""
    before = set(site.host.store.things())
    site.balance(site.service(backends=site.backends("n1", web2=0)))
    after = set(site.host.store.things())
    site.host.kernel.take([Step(thing, None) for thing in after - before])
    site.host.kernel.take([Step(None, thing) for thing in before - after])
    try:
        status, text = typed(site.lab, "matrix -W 0.3")
    finally:
        site.host.kernel.take([Step(thing, None) for thing in before - after])
        site.host.repair()
    assert status == 1
    assert "c1 must reach web1 by web at 10.50.0.100 (web has its virtual address on n1)" in text


def test_a_client_stays_with_one_task(site: ServiceHost, typed: Typed) -> None:
    """With `sh`: whichever it is."""
    site.balance(site.service(balancing=Balancing.SH))
    found = tried(site, typed, kind="service", port=None)
    assert {(each["verdict"], len(each["observed"])) for each in found} == {("kept", 1)}


def test_no_task_gets_one_where_all_are_drained(site: ServiceHost, typed: Typed) -> None:
    """Nobody answers, as promised."""
    site.balance(site.service(backends=site.backends("n1", web1=0, web2=0)))
    found = tried(site, typed, kind="service", **{"from": "c1"})
    assert [(each["expected"], each["observed"], each["verdict"]) for each in found] == [
        ([], {}, "kept")
    ]


def test_without_the_virtual_address_the_promise_is_broken(site: ServiceHost, typed: Typed) -> None:
    """The published port is not concerned."""
    address = next(each for each in _things(site, Address) if each.ip.ip == VIP.ip)
    assert _without(site, typed, address) == {
        ("c1", None): {"broken"},
        ("web1", None): {"broken"},
        ("web2", None): {"broken"},
        ("(host)", 8080): {"kept"},
        ("(world)", 8080): {"kept"},
    }


def test_without_a_rule_of_the_balancer_the_promise_is_broken(
    site: ServiceHost, typed: Typed
) -> None:
    """The rule that takes connections to the virtual address: the balancer refuses them."""
    found = _without(site, typed, _taken(site, str(VIP.ip)))
    assert found["c1", None] == {"broken"}
    assert found["(world)", 8080] == {"kept"}


def test_without_a_rule_of_the_ingress_balancer_the_port_is_closed(
    site: ServiceHost, typed: Typed
) -> None:
    """The virtual address is not concerned."""
    found = _without(site, typed, _taken(site, "dport 8080"))
    assert found["(host)", 8080] == found["(world)", 8080] == {"broken"}
    assert found["c1", None] == {"kept"}


def test_names_of_a_service_are_promised(site: ServiceHost, typed: Typed) -> None:
    """Its own and its aliases mean the virtual address, tasks.NAME all tasks."""
    found = tried(site, typed, kind="name", type="A", protocol="udp", **{"from": "c1"})
    means = {each["name"]: each["expected"] for each in found}
    tasks = sorted(str(end.ip.ip) for end in site.backends("n1"))
    assert means["web"] == means["www"] == means["web.n1"] == [str(VIP.ip)]
    assert means["tasks.web"] == means["tasks.www"] == tasks
    assert {each["verdict"] for each in found} == {"kept"}


def test_a_program_of_the_tasks_own_answers_for_it(site: ServiceHost, typed: Typed) -> None:
    """The port is its; it does not tell its name, and so either may have answered."""
    found = tried(site, typed, kind="service", port=8080)
    assert {each["verdict"] for each in found} == {"kept"}
    assert {"programs of tasks" in each["said"] for each in found} == {True}


def _things(site: ServiceHost, *kinds: type[Any]) -> list[Any]:
    return [thing for thing in site.host.store.things() if isinstance(thing, kinds)]


def _taken(site: ServiceHost, match: str) -> Thing:
    """The rule of a balancer by which a service takes its connections."""
    table = {"mangle", "plumb-services"}
    jump = ("-j PLUMB-VS-", "jump vs-")
    rules: list[Rule | NftRule] = _things(site, Rule, NftRule)
    return next(
        rule
        for rule in rules
        if rule.table in table and match in rule.spec and any(word in rule.spec for word in jump)
    )


def _without(
    site: ServiceHost, typed: Typed, thing: Thing
) -> dict[tuple[str, int | None], set[str]]:
    """The verdicts with one thing cut."""
    site.host.kernel.take([Step(thing, None)])
    try:
        return service_kinds(site, typed)
    finally:
        site.host.repair()
