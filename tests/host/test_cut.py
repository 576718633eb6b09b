"""Cut: taking away any one thing that plumb made breaks a promise.

So nothing is there for show, and the probes see it.

For each case all promises are tried and must be kept; then one thing after the other is cut out of
the kernel, the promises are tried again, and at least one must be broken; then the thing is put
back, and what was lost comes again. What no packet can tell is in a table, with the reason.

A sampled run (tests/sampling.py) cuts one thing of each form, and not all forms: the route of a
second container, or the same rule for IPv6, is missed as the first is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from plumb import Host
from plumb.engine.verbs import Transaction
from plumb.kernel.memory import MemoryKernel
from plumb.kernel.net.neighbours import forget_neighbours
from plumb.kernel.netns.namespaces import entered
from plumb.model.cnm import Status
from plumb.model.parse import BRIDGE
from plumb.plan import Step
from plumb.probes.promises.dns_names import NamePromise, ask, name_promises
from plumb.probes.promises.promise import Protocol
from plumb.probes.promises.published_ports import PublishingHost, published
from plumb.probes.promises.reachability import HOST, WORLD, Member, Promise, promises
from plumb.probes.traffic.observe import try_out
from plumb.things import HOST as HOST_ITSELF
from plumb.things import Thing
from plumb.things.dns import Names, Resolver
from plumb.things.host_ports import Agent, HostPort, Proxy
from plumb.things.iptables import Chain, Family, InChain, Policy, Rule
from plumb.things.layer3 import Address, Route, Sysctl
from plumb.things.links import Dummy, OnParent, Up, Vlan
from plumb.things.nftables import InTable, NftChain, NftMap, NftRule, NftTable
from plumb.things.sandbox import Directory, File, Namespace
from tests import cases, labs, sampling
from tests.labs import LAN, Lab, sh, within
from tests.memory_host import FORWARDING, FRESH


@dataclass(frozen=True)
class Scene:
    """Something to cut into.

    Attributes:
        build: asks for it.
        only: what to cut, given the link of the network n1; all by default.
        settings: the host's settings.
        before, after: shell lines on the host, before and when it is built.
        outside: shell lines on the LAN, when it is built.
        patience: seconds after which what was not reached is not reachable; between namespaces an
            answer takes less than a thousandth.
        iptables: the kind of iptables that the host has, "" for its own.
        needs: what of the kernel's it takes.
    """

    build: Callable[[Transaction], None]
    only: Callable[[Thing, str], bool] = lambda thing, n1: True
    settings: Mapping[str, Any] = field(default_factory=dict)
    before: str = ""
    after: str = ""
    outside: str = ""
    patience: float = 0.25
    iptables: str = ""
    needs: tuple[str, ...] = ()


def rule(pattern: str) -> Callable[[Thing, str], bool]:
    """Only rules like this; N1 in the pattern stands for the link of the network n1."""
    return lambda thing, n1: (
        isinstance(thing, Rule | NftRule)
        and re.search(pattern.replace("N1", n1), f"{thing.table} {thing.chain} {thing.spec}")
        is not None
    )


def native(pattern: str = "") -> Callable[[Thing, object], bool]:
    """What is in plumb's own nftables, and is printed like this."""
    return lambda thing, _: (
        isinstance(thing, InTable | NftTable) and re.search(pattern, str(thing)) is not None
    )


def answering(thing: Thing) -> bool:
    """What leads to the embedded DNS server."""
    return isinstance(thing, InChain) and thing.where != HOST_ITSELF


def lan(name: str, **more: Any) -> Scene:
    """A case of macvlan or ipvlan: the links, what they stand on, and what makes them interfaces.

    The rest is as in any sandbox.

    That an ipvlan parent is up is not missed by those who reach each other without it, on older
    kernels (6.1)."""
    parents = not name.startswith("ipvlan")
    return Scene(
        cases.CASES[name].build,
        lambda thing, n1: (
            isinstance(thing, OnParent | Vlan | Dummy)
            or (
                isinstance(thing, Up | Address | Route)
                and thing.dev != "lo"
                and (thing.where != HOST_ITSELF or (parents and thing.dev == n1))
            )
        ),
        needs=cases.CASES[name].needs,
        **more,
    )


def port(pattern: str) -> Callable[[Thing, str], bool]:
    """What holds and serves published ports, and rules like this."""
    wanted = rule(pattern)
    return lambda thing, n1: (
        isinstance(thing, Agent | HostPort | Proxy)
        or wanted(thing, n1)
        or (
            isinstance(thing, Sysctl)
            and re.search(pattern, thing.name) is not None
            and n1 in thing.name
        )
    )


FORMS = 4
"""So many things of a scene are cut in a sampled run."""
FORWARDS = "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"
"""On a host that forwards already the FORWARD policy stays ACCEPT, and is no second wall."""
NFT = {"firewall-backend": "nftables"}
LET_IN = """for family in ip ip6; do
    for chain in $(nft list chains $family |
        sed -n 's/.*chain \\(filter-forward-in__[^ ]*\\) .*/\\1/p'); do
        nft insert rule $family plumb-bridges $chain accept; done; done"""
"""A rule of somebody else's at the head of each network's chain.

There is no wall, but for the one that stands before it.
"""
SCENES = {
    "one network": Scene(cases.network(subnet=cases.DUAL, ipv6=True)),
    "default network": Scene(cases.default_network),
    "two networks": Scene(cases.two_networks, lambda thing, n1: thing.where != HOST_ITSELF),
    "icc off": Scene(
        cases.network(subnet=cases.DUAL, ipv6=True, options={BRIDGE + "enable_icc": "false"}),
        rule("PLUMB-FORWARD -i N1 -o N1 -j DROP"),
        before=FORWARDS,
    ),
    "icc off, on a host that did not forward": Scene(
        cases.network(subnet=cases.DUAL, ipv6=True, options={BRIDGE + "enable_icc": "false"}),
        rule("PLUMB-FORWARD -i N1 ! -o N1 -j ACCEPT"),
    ),
    "internal": Scene(cases.internal_and_other, rule("INTERNAL|PLUMB-FORWARD -i N1")),
    "an administrator who lets in everything": Scene(
        cases.apart,
        rule("raw PREROUTING"),
        after="""
        iptables -A PLUMB-USER -j ACCEPT; ip6tables -A PLUMB-USER -j ACCEPT""",
    ),
    "direct routing allowed": Scene(
        cases.apart, rule("PLUMB !|PLUMB-BRIDGE"), {"allow-direct-routing": True}
    ),
    "routed": Scene(cases.routed_and_other, rule("icmp|PLUMB ! -i N1")),
    "unprotected": Scene(cases.unprotected_and_other, rule("PLUMB ! -i N1")),
    "names": Scene(
        cases.named, lambda thing, n1: isinstance(thing, Resolver | Names) or answering(thing)
    ),
    "names on the legacy tables": Scene(
        cases.named, lambda thing, n1: answering(thing), iptables="legacy"
    ),
    "published": Scene(
        cases.published(*cases.PORTS[:5], subnet=cases.DUAL, ipv6=True),
        port("dport|PLUMB -m addrtype|dst-type LOCAL"),
    ),
    "published to IPv4 alone": Scene(
        cases.published("8080:80", subnet="172.20.0.0/24"), port("dport")
    ),
    "published without the proxy": Scene(
        cases.published(*cases.PORTS[:5], subnet=cases.DUAL, ipv6=True),
        port("dport|src-type LOCAL|dst-type LOCAL|route_localnet"),
        {"userland-proxy": False},
    ),
    "published on the legacy tables": Scene(
        cases.published(*cases.PORTS[:5], subnet=cases.DUAL, ipv6=True),
        rule("dport|dst-type LOCAL"),
        iptables="legacy",
    ),
    "published, direct routing allowed": Scene(
        cases.published("8080:80", subnet=cases.DUAL, ipv6=True),
        rule("PLUMB -d"),
        {"allow-direct-routing": True},
    ),
    "macvlan": lan("macvlan-ipv6"),
    "macvlan, private": lan("macvlan-private"),
    "macvlan, passthru": lan("macvlan-passthru"),
    "macvlan, two subnets": lan(
        "macvlan-subnets",
        outside="""
        ip addr add 10.21.0.254/24 dev port0; ip addr add fd00:21::254/64 dev port0 nodad""",
    ),
    "macvlan and a bridge": lan("macvlan-beside-a-bridge"),
    "macvlan on a VLAN": lan("macvlan-vlan"),
    "macvlan without a parent": lan("macvlan-alone"),
    "ipvlan": lan("ipvlan-ipv6"),
    "ipvlan l3": lan("ipvlan-l3"),
    "ipvlan l3s": lan("ipvlan-l3s"),
    "ipvlan on a VLAN": lan("ipvlan-vlan"),
    "ipvlan without a parent": lan("ipvlan-alone"),
    "nftables": Scene(cases.network(subnet=cases.DUAL, ipv6=True), native(), NFT, cases.FORWARDS),
    "nftables, icc off": Scene(
        cases.network(subnet=cases.DUAL, ipv6=True, options={BRIDGE + "enable_icc": "false"}),
        rule("ICC"),
        NFT,
        cases.FORWARDS,
    ),
    "nftables, internal": Scene(cases.internal_and_other, rule("INTERNAL"), NFT, cases.FORWARDS),
    "nftables, direct routing allowed": Scene(
        cases.apart, native("forward"), {**NFT, "allow-direct-routing": True}, cases.FORWARDS
    ),
    "nftables, a network that lets in everything": Scene(
        cases.apart, rule("raw-PREROUTING"), NFT, cases.FORWARDS, LET_IN
    ),
    "nftables, routed": Scene(
        cases.routed_and_other, rule("ICMP|in__N1 .*UNPUBLISHED"), NFT, cases.FORWARDS
    ),
    "nftables, unprotected": Scene(
        cases.unprotected_and_other, rule("UNPROTECTED"), NFT, cases.FORWARDS
    ),
    "nftables, names": Scene(cases.named, lambda thing, n1: answering(thing), NFT, cases.FORWARDS),
    "nftables, published": Scene(
        cases.published(*cases.PORTS[:5], subnet=cases.DUAL, ipv6=True),
        port("dport|fib daddr"),
        NFT,
        cases.FORWARDS,
    ),
    "nftables, published without the proxy": Scene(
        cases.published(*cases.PORTS[:5], subnet=cases.DUAL, ipv6=True),
        port("dport|fib|nat-postrouting-in|route_localnet"),
        {**NFT, "userland-proxy": False},
        cases.FORWARDS,
    ),
}

Reason = str
UNSEEN: dict[Reason, Callable[[Thing, Scene], bool]] = {
    "it is about files and users, not about packets": lambda thing, _: (
        isinstance(thing, Directory | File)
        or (
            isinstance(thing, Sysctl)
            and thing.name.endswith(("ip_unprivileged_port_start", "ping_group_range"))
        )
    ),
    "it keeps out what nobody sends here: router advertisements, "
    "link-local addresses": lambda thing, _: (
        isinstance(thing, Sysctl) and thing.name.endswith(("accept_ra", "disable_ipv6"))
    ),
    "it is for links that are still to come": lambda thing, _: (
        isinstance(thing, Sysctl) and "default" in thing.name
    ),
    "it is the administrator's to use": lambda thing, _: "PLUMB-USER" in str(thing),
    "another wall stands behind it: see the scene where that one is open": lambda thing, scene: (
        (
            isinstance(thing, Rule)
            and "DROP" in thing.spec
            and "INTERNAL" not in thing.chain
            and scene in (SCENES["one network"], SCENES["default network"], SCENES["two networks"])
        )
        or (
            isinstance(thing, Rule | Chain)
            and "PLUMB-BRIDGE" in str(thing)
            and scene in (SCENES["one network"], SCENES["default network"], SCENES["two networks"])
        )
    ),
    "there is no internal network here": lambda thing, scene: (
        "PLUMB-INTERNAL" in str(thing) and scene is not SCENES["internal"]
    ),
    "without a way out, and with its twin in the way of any answer, "
    "its own work does not show": lambda thing, scene: (
        (
            isinstance(thing, Rule)
            and thing.spec.startswith("! -d")
            and thing.chain == "PLUMB-INTERNAL"
            and scene is SCENES["internal"]
        )
        or native("EGRESS")(thing, scene)
    ),
    "nobody has IPv6 here": lambda thing, scene: (
        isinstance(thing, Rule) and thing.family is Family.V6 and scene is SCENES["default network"]
    ),
    "nobody is on that network": lambda thing, scene: (
        "plumb0" in str(thing) and scene is not SCENES["default network"]
    ),
    "it is about what is forwarded between others, of whom there are none here": lambda thing, _: (
        isinstance(thing, Policy)
    ),
    "its rules are cut one by one": lambda thing, _: isinstance(
        thing, Chain | NftChain | NftMap | NftTable
    ),
    "it accepts what no other rule of nftables would drop, and tells the reader so": native(
        r'OUTGOING|UNPROTECTED|forward-out__\S+ ct state|forward-out-jumps|accept comment "ICC"'
    ),
    "it leads to published ports, or to what only they need, "
    "and there are none here": lambda thing, scene: (
        "published" not in named(scene)
        and (
            native("nat-PREROUTING|nat-OUTPUT|nat-postrouting-in-jumps")(thing, scene)
            or (
                isinstance(thing, Chain | Rule)
                and thing.table == "nat"
                and "POSTROUTING" not in str(thing)
            )
        )
    ),
    "the one of raw-PREROUTING and the wall stands behind the other: "
    "see the scenes where one of them is open": lambda thing, scene: (
        native("forward-in-jumps|UNPUBLISHED|DIRECT ACCESS")(thing, scene)
        and named(scene) == "nftables"
    ),
    "the wall stands behind it, but for published ports: test_nftables.py has one": native(
        'drop comment "ICC"'
    ),
    "the kernel keeps a namespace as long as somebody is in it": lambda thing, _: isinstance(
        thing, Namespace
    ),
    "it is for what comes from elsewhere, to a port that is published "
    "to the host alone": lambda thing, _: (
        isinstance(thing, InChain)
        and re.search("dport 81 (-j|counter) (ACCEPT|MASQ|accept|masq)", thing.spec) is not None
    ),
    "the loopback address is the proxy's, and IPv6's cannot be rewritten "
    "to another link's": lambda thing, scene: (
        isinstance(thing, InChain)
        and re.search("(127.0.0.1|::1)(/[0-9]+)? .*(DNAT|dnat)", thing.spec) is not None
        and (scene.settings.get("userland-proxy", True) or "::1" in thing.spec)
    ),
    "it keeps the port from other programs; no packet tells": lambda thing, scene: (
        isinstance(thing, HostPort | Agent) and not scene.settings.get("userland-proxy", True)
    ),
    "connection tracking turns an answer's source back by itself; "
    "the rule is for one that it has forgotten": lambda thing, _: (
        (isinstance(thing, Rule) and thing.where != HOST_ITSELF and "POSTROUTING" in thing.chain)
        or native("dns-snat")(thing, None)
    ),
    "nobody speaks to itself here": lambda thing, scene: (
        isinstance(thing, Up) and thing.dev == "lo" and scene is SCENES["default network"]
    ),
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.needs(*scene.needs)] if scene.needs else [])
        for name, scene in SCENES.items()
    ],
)
def test_every_thing_is_needed(name: str) -> None:
    """Without any one of the things, some promise is broken."""
    scene = SCENES[name]
    with (
        labs.iptables(scene.iptables),
        labs.lab(lan=True) as lab,
        lab.host(settings=scene.settings) as host,
    ):
        sh(scene.before or "true")
        with host.operation() as verbs:
            scene.build(verbs)
        sh(scene.after or "true")
        within(lab.lan, scene.outside or "true")
        made, places = promised(lab, host)
        n1 = link(host)

        assert broken_for_good(made, places, scene.patience) == []
        worth = [
            thing
            for thing in host.store.things()
            if scene.only(thing, n1) and not any(unseen(thing, scene) for unseen in UNSEEN.values())
        ]
        for thing in sample(worth, name):
            cut(host, thing)
            missed = decisive_look(made, places, scene.patience)
            assert missed, f"nobody misses {thing}"
            mend(host, thing)

            lost = [promise for promise in missed if brings_an_answer(promise)]
            assert broken_for_good(lost, places, scene.patience) == [], f"{thing} is back"

        assert broken_for_good(made, places, scene.patience) == []
        sh("iptables -F PLUMB-USER; ip6tables -F PLUMB-USER", check=False)
        host.reset()


def sample(things: Sequence[Thing], scene: str) -> list[Thing]:
    """Draw things to cut, of different forms; a complete run has all."""
    if sampling.complete():
        return list(things)
    forms: dict[str, list[Thing]] = {}
    for thing in things:
        forms.setdefault(form(thing), []).append(thing)
    dice = sampling.dice(scene)
    return [dice.choice(alike) for alike in sampling.drawn(list(forms.values()), FORMS, scene)]


def form(thing: Thing) -> str:
    """A thing's kind and words, without those that have numbers in them.

    Addresses, ids, families.
    """
    words = [word for word in str(thing).split() if not re.search(r"\d", word)]
    return " ".join([type(thing).__name__, *words])


def link(host: Host) -> str:
    """The bridge of the network n1."""
    return next((net.link for net in host.networks() if net.name == "n1"), "no network n1")


def named(scene: Scene) -> str:
    """The name of a scene."""
    return next(name for name, each in SCENES.items() if each is scene)


AnyPromise = Promise | NamePromise
CONTROL = "(control)"
"""Another name of the LAN's router, which asks itself."""
CONTROLS = [
    Promise(CONTROL, CONTROL, ip, protocol, True, "no thing of plumb's is on the way")
    for ip in (LAN.internet, LAN.internet6)
    for protocol in Protocol
]
"""Promises that hold whatever is cut."""
LOOKS = 6
"""Looks at most, each for twice as long as the one before."""


def promised(lab: Lab, host: Host) -> tuple[list[AnyPromise], dict[str, str]]:
    """All promises of what runs here, and where to try them."""
    running = [box for box in host.containers() if box.status is Status.RUNNING]
    members: list[Member] = [
        (box, [(end, host.network(end.network)) for end in host.endpoints(box)]) for box in running
    ]
    within(
        lab.lan,
        f"""ip addr del 127.0.0.1/8 dev lo 2>/dev/null
        for net in 172.20.0.0/15 10.20.0.0/15 127.0.0.0/8; do
            ip route replace $net via {labs.HOST_IP}; done
        ip -6 route replace fd00::/16 via {labs.HOST_IP6}
        sysctl -qw net.ipv4.conf.all.route_localnet=1
        sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.port0.rp_filter=0""",
    )
    places = {
        HOST: "",
        WORLD: lab.lan,
        CONTROL: lab.lan,
        **{box.name: host.namespace(box) for box in running},
    }
    world = (LAN.internet, LAN.internet6)
    own = (LAN.host.v4, LAN.host.v6)
    publishing = PublishingHost([own[0].ip, own[1].ip], host.settings.userland_proxy)
    return [
        *promises(members, world, routed_here=True, own=own),
        *published(members, publishing),
        *name_promises(members),
    ], places


def brings_an_answer(promise: AnyPromise) -> bool:
    """Say that silence breaks a promise; the others are broken by an answer."""
    return bool(promise.means) if isinstance(promise, NamePromise) else promise.reach


def decisive_look(
    made: Sequence[AnyPromise], places: dict[str, str], patience: float
) -> list[AnyPromise]:
    """The promises that are not kept, from the first look in which the control answered.

    A packet that a cut lets through may be late on a busy machine, and the control is late then
    too: a look in which it did not answer says nothing.
    """
    for longer in range(LOOKS):
        forget(made, places)
        found = broken([*made, *CONTROLS], places, patience * 2**longer)
        if not any(promise in CONTROLS for promise in found):
            return found
    raise AssertionError("the control does not answer")


def forget(made: Sequence[AnyPromise], places: dict[str, str]) -> None:
    """Have everybody look for its neighbours anew.

    The kernel repeats an unanswered question for a neighbour once a second: one that was asked
    before the cut would make the first packet as late as that.
    """
    addresses = {promise.address for promise in made if isinstance(promise, Promise)}
    for place in set(places.values()):
        with entered(place):
            forget_neighbours(addresses)


def broken(made: Sequence[AnyPromise], places: dict[str, str], patience: float) -> list[AnyPromise]:
    """The promises that are not kept.

    A listener that cannot even be opened at its address breaks one too.
    """
    traffic = [promise for promise in made if isinstance(promise, Promise)]
    names = [promise for promise in made if isinstance(promise, NamePromise)]
    try:
        found: list[AnyPromise] = [
            outcome.promise for outcome in try_out(traffic, places, patience) if not outcome.kept
        ]
    except OSError:
        return [promise for promise in traffic if promise not in CONTROLS]
    return found + [named.promise for named in ask(names, places, patience) if not named.kept]


def broken_for_good(
    made: Sequence[AnyPromise], places: dict[str, str], patience: float
) -> list[AnyPromise]:
    """The same, after longer and longer waits.

    On a busy or an emulated machine an answer may take its time.
    """
    found: list[AnyPromise] = []
    for longer in range(LOOKS):
        found = broken(made, places, patience * 2**longer)
        if not found:
            break
    return found


def cut(host: Host, thing: Thing) -> None:
    """Take one thing out of the kernel."""
    was = host.store.previous(thing.key) if thing.permanent else None
    if was is None and isinstance(thing, Sysctl) and thing.usual:
        was = replace(thing, value=thing.usual)
    host.kernel.take([Step(thing, was)])


def mend(host: Host, thing: Thing) -> None:
    """Put it back, with all that the kernel dropped together with it."""
    host.repair()

    assert host.check() == [], f"after the repair of {thing}"


def test_every_reason_is_needed() -> None:
    """Each reason in the table excuses something in some scene.

    One that excuses nothing is out of date.
    """
    used: set[Reason] = set()
    for scene in (scene for scene in SCENES.values() if not scene.needs):
        forwarding = [replace(each, value="1") for each in FORWARDING if scene.before]
        with (
            labs.iptables(scene.iptables),
            labs.lab(lan=True) as lab,
            lab.host(settings=scene.settings, kernel=MemoryKernel([*FRESH, *forwarding])) as host,
        ):
            with host.operation() as verbs:
                scene.build(verbs)
            looked_at = [thing for thing in host.store.things() if scene.only(thing, link(host))]
            used |= {
                reason
                for reason, unseen in UNSEEN.items()
                if any(unseen(thing, scene) for thing in looked_at)
            }
            host.reset()

    assert used == set(UNSEEN)
