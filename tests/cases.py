"""Everything that can be built, as a table: a name, and how it is asked for.

The four tests of every kernel feature (golden, replay, failure at every step, cut) go through all
of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, ip_network
from types import MappingProxyType
from typing import Any

import pytest

from plumb.drivers import DRIVERS
from plumb.engine.cluster import attach, balancing
from plumb.engine.verbs import Transaction
from plumb.kernel.system import System
from plumb.model.cluster import AttachRequest, Encryption, balancer_id
from plumb.model.cnm import Attachment, Network, Pool, Sandbox
from plumb.model.net.attachment import attachment
from plumb.model.net.status import TaskOf
from plumb.model.parse import BRIDGE, PREFIX
from plumb.model.ports import ServicePort
from plumb.model.service.virtual import Backend, Balancing, Mechanism, VirtualService
from tests.fake_cluster import INGRESS, FakeCluster, node
from tests.labs import HOST_IP, LAN, ROUTER, ROUTER6, SUBNET, SUBNET6

ENDPOINT = PREFIX + "endpoint."


@dataclass(frozen=True)
class Case:
    """Something to build.

    Attributes:
        build: asks for it.
        settings: the host's settings (daemon.json's keys).
        before: shell lines that are run on the host first.
        needs: what of the kernel's it takes.
    """

    build: Callable[[Transaction], None]
    settings: Mapping[str, Any] = field(default_factory=dict)
    before: str = ""
    needs: tuple[str, ...] = ()


def network(*boxes: str, **asked: Any) -> Callable[[Transaction], None]:
    """A network n1 with these containers on it (c1 and c2 if none are named)."""

    def build(verbs: Transaction) -> None:
        verbs.create_network("n1", **asked)
        for name in boxes or ("c1", "c2"):
            verbs.run(name, network="n1")

    return build


def option(**options: str) -> Callable[[Transaction], None]:
    """A network n1 (172.20.0.0/24) with these options of the bridge driver, and c1 and c2 on it."""
    return network(subnet="172.20.0.0/24", options=_keys(options))


def _keys(options: Mapping[str, str]) -> dict[str, str]:
    driver = {
        "mtu": PREFIX + "driver.mtu",
        "container_iface_prefix": PREFIX + "container_iface_prefix",
        "host_ipv4": PREFIX + "host_ipv4",
        "host_ipv6": PREFIX + "host_ipv6",
        "advertise_addr_nmsgs": PREFIX + "advertise_addr_nmsgs",
    }
    return {driver.get(key, BRIDGE + key): text for key, text in options.items()}


def default_network(verbs: Transaction) -> None:
    """Two containers on the default network."""
    verbs.run("c1")
    verbs.run("c2")


def empty(verbs: Transaction) -> None:
    """A network with nobody on it, its subnet chosen by plumb."""
    verbs.create_network("n1")


def two_networks(verbs: Transaction) -> None:
    """c1 on n1 and n2, whose gateway it takes; c2 on n2 only."""
    verbs.create_network("n1", subnet="172.20.0.0/24")
    verbs.create_network("n2", subnet=["172.21.0.0/24", "fd00:21::/64"], ipv6=True)
    verbs.run("c1", network="n1")
    verbs.run("c2", network="n2")
    verbs.connect("n2", "c1", gw_priority=5)


def apart(verbs: Transaction) -> None:
    """c1 and c2 on networks of their own."""
    verbs.create_network("n1", subnet=["172.20.0.0/24", "fd00:20::/64"], ipv6=True)
    verbs.create_network("n2", subnet=["172.21.0.0/24", "fd00:21::/64"], ipv6=True)
    verbs.run("c1", network="n1")
    verbs.run("c2", network="n2")


def internal_and_other(verbs: Transaction) -> None:
    """c1 and c3 on an internal network, c2 on an ordinary one."""
    verbs.create_network("n1", subnet=["172.20.0.0/24", "fd00:20::/64"], ipv6=True, internal=True)
    verbs.create_network("n2", subnet=["172.21.0.0/24", "fd00:21::/64"], ipv6=True)
    verbs.run("c1", network="n1")
    verbs.run("c3", network="n1")
    verbs.run("c2", network="n2")


def routed_and_other(verbs: Transaction) -> None:
    """c1 on a routed network, c2 on an ordinary one."""
    modes = _keys({"gateway_mode_ipv4": "routed", "gateway_mode_ipv6": "routed"})
    verbs.create_network("n1", subnet=["172.20.0.0/24", "fd00:20::/64"], ipv6=True, options=modes)
    verbs.create_network("n2", subnet=["172.21.0.0/24", "fd00:21::/64"], ipv6=True)
    verbs.run("c1", network="n1")
    verbs.run("c2", network="n2")


def unprotected_and_other(verbs: Transaction) -> None:
    """c1 on an unprotected network, c2 on an ordinary one."""
    modes = _keys({"gateway_mode_ipv4": "nat-unprotected", "gateway_mode_ipv6": "nat-unprotected"})
    verbs.create_network("n1", subnet=["172.20.0.0/24", "fd00:20::/64"], ipv6=True, options=modes)
    verbs.create_network("n2", subnet=["172.21.0.0/24", "fd00:21::/64"], ipv6=True)
    verbs.run("c1", network="n1")
    verbs.run("c2", network="n2")


def wishes(verbs: Transaction) -> None:
    """Everything that can be asked of an endpoint."""
    verbs.create_network("n1", subnet=["172.20.0.0/24", "fd00:20::/64"], ipv6=True)
    sysctls = f"{ENDPOINT}sysctls=net.ipv4.conf.IFNAME.log_martians=1"
    verbs.run(
        "c1",
        network=attachment(
            f"name=n1,ip=172.20.0.77,ip6=fd00:20::77,mac-address=02:00:00:00:00:77,alias=db,link-local-ip=169.254.7.7,"
            f'link-local-ip=fe80::77,driver-opt={ENDPOINT}ifname=front,"driver-opt={sysctls}"'
        ),
    )


def modes(verbs: Transaction) -> None:
    """none, host, container:c1, and settings of the sandbox."""
    verbs.create_network("n1", subnet="172.20.0.0/24")
    verbs.run("c1", network="n1", sysctls=(("net/ipv4/conf/all/log_martians", "1"),))
    verbs.run("c2", network="none")
    verbs.run("c3", network="host")
    verbs.run("c4", network="container:c1")
    verbs.create("c5", network="n1")


def no_ipv6_inside(verbs: Transaction) -> None:
    """A container without IPv6 on a network that has it."""
    verbs.create_network("n1", subnet=["172.20.0.0/24", "fd00:20::/64"], ipv6=True)
    verbs.run("c1", network="n1", sysctls=(("net/ipv6/conf/all/disable_ipv6", "1"),))


def published(*ports: str, **asked: Any) -> Callable[[Transaction], None]:
    """A network n1 with c1, of which these ports are published, and c2."""

    def build(verbs: Transaction) -> None:
        verbs.create_network("n1", **asked)
        verbs.run("c1", network="n1", publish=ports)
        verbs.run("c2", network="n1")

    return build


def published_elsewhere(verbs: Transaction) -> None:
    """c1 publishes through n2, its gateway, and is on the internal network n1.

    N1 is joined first.
    """
    verbs.create_network("n1", subnet="172.20.0.0/24", internal=True)
    verbs.create_network("n2", subnet=DUAL2, ipv6=True)
    verbs.run("c1", network="n1", publish="8080:80")
    verbs.connect("n2", "c1")


def two_networks_published(verbs: Transaction) -> None:
    """c1 on n1 and n2, and published through n2; c2 on n2, and published too."""
    verbs.create_network("n1", subnet="172.20.0.0/24")
    verbs.create_network("n2", subnet=DUAL2, ipv6=True)
    verbs.run("c1", network="n1", publish=["8080:80", "8053:53/udp"])
    verbs.run("c2", network="n2", publish="8081:80")
    verbs.connect("n2", "c1", gw_priority=5)


def named(verbs: Transaction) -> None:
    """c1 on n1 with every kind of name; c2 on the default network and n1, with a link.

    C3 on n2, where nobody else is.
    """
    verbs.create_network("n1", subnet=DUAL, ipv6=True)
    verbs.create_network("n2", subnet="172.21.0.0/24")
    verbs.run(
        "c1", network=attachment("name=n1,alias=web"), hostname="www", dns_options=("ndots:2",)
    )
    verbs.run("c2", dns=(IPv4Address("192.0.2.53"),))
    verbs.connect("n1", "c2", aliases=("db", "web"), links=(("c1", "front"),))
    verbs.run("c3", network="n2")


def command(verbs: Transaction) -> None:
    """A container with a command."""
    verbs.create_network("n1", subnet="172.20.0.0/24")
    verbs.run(
        "c1",
        network=Attachment("n1"),
        command=("sleep", "1000"),
        hostname="box",
        cap_drop=("NET_RAW",),
    )


def read_only_host(verbs: Transaction) -> None:
    """A container with a command that sees the host's files read-only."""
    verbs.run("c1", command=("sleep", "1000"), hostname="box", read_only_host=True)


def isolated(verbs: Transaction) -> None:
    """A container with a command that sees no processes but its own."""
    verbs.run("c1", command=("sleep", "1000"), hostname="box", isolate=True)


def linked(verbs: Transaction) -> None:
    """c2, linked to c1 on the default network, where containers do not reach each other."""
    verbs.run("c1", exposed=("80/tcp", "53/udp"))
    verbs.run("c2", links=(("c1", "web"),))


def on_the_lan(driver: str, *boxes: str, **asked: Any) -> Case:
    """A macvlan or ipvlan network n1 of the LAN's subnets, and containers at .51, .52, … of it."""
    mode = {f"{driver}_{key}": asked.pop(key) for key in ("mode", "flag") if key in asked}
    wanted = {"subnet": SUBNET, "gateway": ROUTER, **asked, "options": {"parent": "eth0", **mode}}

    def build(verbs: Transaction) -> None:
        verbs.create_network("n1", driver=driver, **wanted)
        for number, name in enumerate(boxes or ("c1", "c2")):
            own = LAN.station(51 + number)
            six = own.v6.ip if wanted.get("ipv6") else None
            verbs.run(name, network=Attachment("n1", ip=own.v4.ip, ip6=six))

    return Case(build, needs=(driver,))


def alone(driver: str, **asked: Any) -> Case:
    """A macvlan or ipvlan network without a parent, with c1 and c2."""
    mode = {f"{driver}_mode": asked.pop("mode")} if "mode" in asked else {}
    return Case(network(driver=driver, options=mode, **asked), needs=(driver, "dummy"))


def tagged(driver: str) -> Case:
    """VLAN 10 of eth0, made with the network n1.

    Where several networks can share a parent, also by n2, which is gone again.
    """

    def build(verbs: Transaction) -> None:
        verbs.create_network(
            "n1",
            driver=driver,
            subnet=["10.10.0.0/24", "fd00:10::/64"],
            ipv6=True,
            options={"parent": "eth0.10"},
        )
        if driver == "macvlan":
            verbs.create_network(
                "n2", driver=driver, subnet="10.11.0.0/24", options={"parent": "eth0.10"}
            )
            verbs.remove_network("n2")
        verbs.run("c1", network="n1")
        verbs.run("c2", network="n1")

    return Case(build, needs=(driver, "8021q"))


KEYS = Encryption(((1, "11" * 16), (2, "22" * 16)), (2,))
"""Keys for encrypted networks."""
ENCRYPTED_NEEDS = ("vxlan", "xfrm", "esp4", "aes-gcm", "mark", "policy", "bpf")


def encrypted(settings: Mapping[str, Any] = MappingProxyType({})) -> Case:
    """c1 on an encrypted overlay network n1 of the cluster, and c9 on the other host."""

    def build(verbs: Transaction) -> None:
        asked = Network(
            "5" * 64,
            "n1",
            "overlay",
            (Pool(IPv4Network("10.50.0.0/24")),),
            attachable=True,
            **DRIVERS["overlay"].network_fields({"encrypted": ""}),
        )
        cluster = FakeCluster(node(LAN.host.v4.ip), others={9: "c9"})
        cluster.create_network(asked)
        cluster.taken_by(verbs)
        attach.encrypt(verbs._operation, KEYS)  # as the cluster process does
        verbs.run("c1", network="n1")

    return Case(build, settings, FORWARDS if settings else "", _needs(settings, *ENCRYPTED_NEEDS))


NFTABLES = {"firewall-backend": "nftables"}


def _needs(settings: Mapping[str, Any], *features: str) -> tuple[str, ...]:
    """Name what a case with these settings needs, in a guest too whose kernel has no nf_tables."""
    rules = ("nf_tables", "nft_chain_nat") if settings == NFTABLES else ()
    return (*features, *rules)


def service(
    way: Balancing = Balancing.RR,
    mechanism: Mechanism = Mechanism.RULES,
    *,
    direct: bool = False,
    kept: bool = False,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> Case:
    """A service web of two tasks here and one on the other host, with a port and two names.

    Its tasks have the weights 2, 1 and 1; c1 is its client.
    """
    by_ipvs = mechanism is Mechanism.IPVS

    def build(verbs: Transaction) -> None:
        op, cluster = verbs._operation, FakeCluster(node(LAN.host.v4.ip), others={9: "web.3.c"})
        op.system = replace(op.system, has_ipvs=lambda: by_ipvs)
        options = DRIVERS["overlay"].network_fields({"dsr": ""} if direct else {})
        pools = (Pool(IPv4Network("10.50.0.0/24")),)
        n1 = Network("5" * 64, "n1", "overlay", pools, attachable=True, **options)
        source = replace(INGRESS.overlay, preserve_source=kept)
        ingress = replace(INGRESS, attachable=True, overlay=source)
        for net in (ingress, n1):
            cluster.create_network(net)
        cluster.taken_by(verbs)
        own = AttachRequest(balancer_id(INGRESS.id, cluster.me.id), INGRESS.id)
        attach.join(op, cluster.attach(own))
        verbs.run("c1", network="n1")
        for slot in (1, 2):
            box = verbs.run(f"web.{slot}", network="ingress")
            op.put(replace(box, task=TaskOf(f"task{slot}", "web", "web", slot, ports=(PORT,))))
            verbs.connect("n1", f"web.{slot}")
        for net, last in ((n1, 9), (ingress, 9)):
            ends = _backends(verbs, net.id, last)
            virtual = IPv4Interface(f"{net.pools[0].subnet[100]}/24")
            ports = (PORT,) if net is ingress else ()
            one = VirtualService("web", net.id, "web", ("www",), virtual, ports=ports)
            balancing.apply(op, net.id, [replace(one, balancing=way, backends=ends)])

    needs = ("ipvs", "ipvs-rr", "xt_ipvs") if by_ipvs else ()
    return Case(build, settings, FORWARDS if settings else "", _needs(settings, "vxlan", *needs))


PORT = ServicePort(80, 8080)


def _backends(verbs: Transaction, network: str, elsewhere: int) -> tuple[Backend, ...]:
    """Two tasks here, and one on the other host at the address that ends in this number."""
    op = verbs._operation
    here = [end for end in op.endpoints(network=network) if _is_task(op.sandbox(end.sandbox))]
    found = [
        Backend(f"task{slot}", f"web.{slot}", end.ip, weight=3 - slot)
        for slot, end in enumerate(here, 1)
        if end.ip is not None
    ]
    subnet = op.network(network).pools[0].subnet  # type: ignore[union-attr]  # it has been built
    last = IPv4Interface(f"{subnet[elsewhere]}/24")
    return (*found, Backend("task3", "web.3", last))


def _is_task(box: Sandbox | None) -> bool:
    return box is not None and box.task is not None


def overlay(*subnets: str, internal: bool = False, ipv6: bool = False, mtu: str = "1500") -> Case:
    """An overlay network n1 of the cluster, with c1 and c2 here, and c9 on the other host.

    c3 is on it and on a bridge network.
    """

    def build(verbs: Transaction) -> None:
        cluster = FakeCluster(node(LAN.host.v4.ip), others={9: "c9", 10: ""})
        asked = Network(
            "5" * 64,
            "n1",
            "overlay",
            tuple(Pool(ip_network(subnet)) for subnet in subnets),
            ipv6=ipv6,
            internal=internal,
            attachable=True,
            **DRIVERS["overlay"].network_fields({PREFIX + "driver.mtu": mtu}),
        )
        cluster.create_network(asked)
        cluster.taken_by(verbs)
        verbs.run("c1", network="n1")
        verbs.run(
            "c2",
            network=Attachment(
                "n1",
                ip=IPv4Address(
                    [subnet for subnet in subnets if "." in subnet][-1].replace(".0/24", ".77")
                ),
            ),
        )
        verbs.create_network("n2", subnet="172.21.0.0/24")
        verbs.run("c3", network="n2")
        verbs.connect("n1", "c3", aliases=("web",))

    return Case(build, needs=("vxlan",))


def many_subnets(driver: str, **options: str) -> Case:
    """Two subnets of each family, the second of each with a gateway.

    C1 and c3 are in the first ones, c2 in the second ones.
    """

    def build(verbs: Transaction) -> None:
        verbs.create_network(
            "n1",
            driver=driver,
            subnet=["10.20.0.0/24", "10.21.0.0/24", "fd00:20::/64", "fd00:21::/64"],
            ipv6=True,
            gateway=["10.21.0.254", "fd00:21::254"],
            options={"parent": "eth0", **options},
        )
        verbs.run("c1", network="n1")
        verbs.run(
            "c2",
            network=Attachment("n1", ip=IPv4Address("10.21.0.5"), ip6=IPv6Address("fd00:21::5")),
        )
        verbs.run("c3", network="n1")

    return Case(build, needs=(driver,))


def beside_a_bridge(driver: str, **options: str) -> Case:
    """c1 on a bridge network and on the LAN, where its way out is.

    C2 on the LAN only, and first.
    """

    def build(verbs: Transaction) -> None:
        verbs.create_network(
            "n1",
            driver=driver,
            subnet=SUBNET,
            gateway=ROUTER,
            options={"parent": "eth0", **options},
        )
        verbs.create_network("n2", subnet="172.21.0.0/24")
        verbs.run("c1", network="n2", publish="8080:80")
        verbs.run("c2", network=Attachment("n1", ip=LAN.station(52).v4.ip))
        verbs.connect("n1", "c1", gw_priority=5, ip=LAN.station(51).v4.ip)

    return Case(build, needs=(driver,))


def nftables(
    build: Callable[[Transaction], None],
    settings: Mapping[str, Any] = MappingProxyType({}),
    before: str = "true",
) -> Case:
    """The same with rules of nftables' own, on a host that forwards as it must."""
    return Case(build, {"firewall-backend": "nftables", **settings}, f"{FORWARDS}; {before}")


FORWARDS = (
    "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 "
    "net.ipv6.conf.default.forwarding=1"
)
SECOND = LAN.station(200)
SNAT = f"ip addr add {SECOND.v4} dev eth0; ip addr add {SECOND.v6} dev eth0 nodad"
SNAT_TO = {"host_ipv4": str(SECOND.v4.ip), "host_ipv6": str(SECOND.v6.ip)}
DUAL = ["172.20.0.0/24", "fd00:20::/64"]
LAN_DUAL, LAN_GATEWAYS = [SUBNET, SUBNET6], [ROUTER, ROUTER6]
DUAL2 = ["172.21.0.0/24", "fd00:21::/64"]
PORTS = (
    "8080:80",
    "8080:80/udp",
    "127.0.0.1:8081:81",
    "[::1]:8081:81",
    f"{HOST_IP}:8082:82/udp",
    "8083-8084:83-84",
)

CASES: dict[str, Case] = {
    "default": Case(default_network),
    "default-bip": Case(
        default_network,
        {"bip": "10.77.0.1/24", "fixed-cidr": "10.77.0.128/25", "mtu": 1450, "icc": False},
    ),
    "default-ipv6": Case(
        default_network,
        {
            "ipv6": True,
            "fixed-cidr-v6": "fd00:17::/64",
            "default-gateway": "172.17.0.9",
            "bip": "172.17.0.1/16",
        },
    ),
    "default-links": Case(linked, {"icc": False}),
    "default-no-masquerade": Case(default_network, {"ip-masq": False}),
    "user": Case(network(subnet="172.20.0.0/24")),
    "empty": Case(empty),
    "ipam": Case(
        network(
            subnet="172.20.0.0/16",
            ip_range="172.20.5.0/24",
            gateway="172.20.0.1",
            aux_addresses={"other": "172.20.5.1", "DefaultGatewayIPv4": "172.20.0.9"},
        )
    ),
    "ipv6": Case(network(subnet=DUAL, ipv6=True)),
    "ipv6-only": Case(network(subnet="fd00:20::/64", ipv4=False, ipv6=True)),
    "ipv6-icc-off": Case(network(subnet=DUAL, ipv6=True, options=_keys({"enable_icc": "false"}))),
    "internal": Case(network(subnet=DUAL, ipv6=True, internal=True)),
    "internal-icc-off": Case(
        network(subnet="172.20.0.0/24", internal=True, options=_keys({"enable_icc": "false"}))
    ),
    "isolated": Case(
        network(
            subnet=DUAL,
            ipv6=True,
            internal=True,
            options=_keys({"gateway_mode_ipv4": "isolated", "gateway_mode_ipv6": "isolated"}),
        )
    ),
    "isolated-31": Case(
        network(
            subnet="172.20.0.0/31", internal=True, options=_keys({"gateway_mode_ipv4": "isolated"})
        )
    ),
    "inhibit": Case(option(inhibit_ipv4="true")),
    "icc-off": Case(option(enable_icc="false")),
    "no-masquerade": Case(option(enable_ip_masquerade="false")),
    "snat": Case(network(subnet=DUAL, ipv6=True, options=_keys(SNAT_TO)), before=SNAT),
    "name-mtu-prefix": Case(option(name="lab0", mtu="1400", container_iface_prefix="net")),
    "foreign-bridge": Case(
        option(name="lab0"), before="ip link add lab0 type bridge; ip link set lab0 up"
    ),
    "routed": Case(routed_and_other),
    "unprotected": Case(unprotected_and_other),
    "trusted": Case(option(trusted_host_interfaces="eth0:lo0")),
    "two-networks": Case(two_networks),
    "apart": Case(apart),
    "internal-and-other": Case(internal_and_other),
    "direct-routing": Case(apart, {"allow-direct-routing": True}),
    "fwmark": Case(network(subnet="172.20.0.0/24"), {"bridge-accept-fwmark": "0x10/0xff"}),
    "no-iptables": Case(network(subnet=DUAL, ipv6=True), {"iptables": False, "ip6tables": False}),
    "no-forwarding": Case(network(subnet="172.20.0.0/24"), {"ip-forward": False}),
    "forwarding-before": Case(
        network(subnet="172.20.0.0/24"), before="sysctl -qw net.ipv4.ip_forward=1"
    ),
    "no-proxy": Case(network(subnet=DUAL, ipv6=True), {"userland-proxy": False}),
    "no-proxy-no-masquerade": Case(
        published(
            "8080:80",
            subnet=DUAL,
            ipv6=True,
            options=_keys({"enable_ip_masquerade": "false", "gateway_mode_ipv6": "routed"}),
        ),
        {"userland-proxy": False},
    ),
    "no-proxy-ipv6-only": Case(
        network(subnet="fd00:20::/64", ipv4=False, ipv6=True), {"userland-proxy": False}
    ),
    "wishes": Case(wishes),
    "no-ipv6-inside": Case(no_ipv6_inside),
    "modes": Case(modes),
    "command": Case(command),
    "read-only-host": Case(read_only_host),
    "isolate": Case(isolated),
    "names": Case(named),
    "published": Case(published(*PORTS, subnet=DUAL, ipv6=True)),
    "published-v4": Case(published("8080:80", "80", subnet="172.20.0.0/24")),
    "published-no-proxy": Case(
        published(*PORTS, subnet=DUAL, ipv6=True), {"userland-proxy": False}
    ),
    "published-routed": Case(
        published("8080:80", subnet=DUAL, ipv6=True, options=_keys({"gateway_mode_ipv4": "routed"}))
    ),
    "published-unprotected": Case(
        published(
            "8080:80",
            subnet="172.20.0.0/24",
            options=_keys({"gateway_mode_ipv4": "nat-unprotected"}),
        )
    ),
    "published-trusted": Case(
        published(
            "8080:80", subnet="172.20.0.0/24", options=_keys({"trusted_host_interfaces": "eth0"})
        )
    ),
    "published-no-iptables": Case(
        published("8080:80", subnet=DUAL, ipv6=True), {"iptables": False, "ip6tables": False}
    ),
    "published-elsewhere": Case(published_elsewhere),
    "two-networks-published": Case(two_networks_published),
    "macvlan": on_the_lan("macvlan"),
    "macvlan-ipv6": on_the_lan("macvlan", subnet=LAN_DUAL, gateway=LAN_GATEWAYS, ipv6=True),
    "macvlan-private": on_the_lan("macvlan", mode="private"),
    "macvlan-vepa": on_the_lan("macvlan", mode="vepa"),
    "macvlan-passthru": on_the_lan("macvlan", "c1", mode="passthru"),
    "macvlan-internal": on_the_lan("macvlan", internal=True),
    "macvlan-no-gateway": on_the_lan("macvlan", gateway=()),
    "macvlan-subnets": many_subnets("macvlan"),
    "macvlan-beside-a-bridge": beside_a_bridge("macvlan"),
    "macvlan-vlan": tagged("macvlan"),
    "macvlan-alone": alone("macvlan", subnet=DUAL, ipv6=True),
    "ipvlan": on_the_lan("ipvlan"),
    "ipvlan-ipv6": on_the_lan("ipvlan", subnet=LAN_DUAL, gateway=LAN_GATEWAYS, ipv6=True),
    "ipvlan-private": on_the_lan("ipvlan", flag="private"),
    "ipvlan-vepa": on_the_lan("ipvlan", flag="vepa"),
    "ipvlan-l3": many_subnets("ipvlan", ipvlan_mode="l3"),
    "ipvlan-l3-beside-a-bridge": beside_a_bridge("ipvlan", ipvlan_mode="l3"),
    "ipvlan-l3s": many_subnets("ipvlan", ipvlan_mode="l3s"),
    "ipvlan-vlan": tagged("ipvlan"),
    "ipvlan-alone": alone("ipvlan", subnet=DUAL, ipv6=True, mode="l3"),
    "overlay": overlay("10.50.0.0/24"),
    "overlay-subnets": overlay("10.50.0.0/24", "10.51.0.0/24"),
    "overlay-ipv6": overlay("10.50.0.0/24", "fd00:50::/64", ipv6=True),
    "overlay-internal": overlay("10.50.0.0/24", internal=True),
    "overlay-encrypted": encrypted(),
    "nft-overlay-encrypted": encrypted({"firewall-backend": "nftables"}),
    "service": service(),
    "service-weights": service(Balancing.WRR),
    "service-random": service(Balancing.RANDOM),
    "service-source": service(Balancing.SH),
    "service-ipvs": service(mechanism=Mechanism.IPVS),
    "service-ipvs-weights": service(Balancing.WRR, Mechanism.IPVS),
    "service-ipvs-direct": service(mechanism=Mechanism.IPVS, direct=True),
    "service-client": service(kept=True),
    "nft-service-client": service(kept=True, settings=NFTABLES),
    "nft-service": service(settings=NFTABLES),
    "nft-service-weights": service(Balancing.WRR, settings=NFTABLES),
    "nft-service-random": service(Balancing.RANDOM, settings=NFTABLES),
    "nft-service-source": service(Balancing.SH, settings=NFTABLES),
    "nft-service-ipvs": service(mechanism=Mechanism.IPVS, settings=NFTABLES),
    "overlay-mtu": overlay("10.50.0.0/24", mtu="1400"),
    "nft-default": nftables(default_network),
    "nft-default-links": nftables(linked, {"icc": False}),
    "nft-ipv6": nftables(network(subnet=DUAL, ipv6=True)),
    "nft-ipv6-only": nftables(network(subnet="fd00:20::/64", ipv4=False, ipv6=True)),
    "nft-internal": nftables(internal_and_other),
    "nft-internal-icc-off": nftables(
        network(subnet=DUAL, ipv6=True, internal=True, options=_keys({"enable_icc": "false"}))
    ),
    "nft-icc-off": nftables(
        network(subnet=DUAL, ipv6=True, options=_keys({"enable_icc": "false"}))
    ),
    "nft-routed": nftables(routed_and_other),
    "nft-unprotected": nftables(unprotected_and_other),
    "nft-no-masquerade": nftables(option(enable_ip_masquerade="false")),
    "nft-snat": nftables(network(subnet=DUAL, ipv6=True, options=_keys(SNAT_TO)), before=SNAT),
    "nft-trusted": nftables(option(trusted_host_interfaces="eth0:lo0")),
    "nft-direct-routing": nftables(apart, {"allow-direct-routing": True}),
    "nft-fwmark": nftables(network(subnet="172.20.0.0/24"), {"bridge-accept-fwmark": "0x10/0xff"}),
    "nft-no-proxy": nftables(network(subnet=DUAL, ipv6=True), {"userland-proxy": False}),
    "nft-ipv4-rules-only": nftables(network(subnet=DUAL, ipv6=True), {"ip6tables": False}),
    "nft-no-forwarding": Case(
        network(subnet="172.20.0.0/24"), {"firewall-backend": "nftables", "ip-forward": False}
    ),
    "nft-names": nftables(named),
    "nft-published": nftables(published(*PORTS, subnet=DUAL, ipv6=True)),
    "nft-published-v4": nftables(published("8080:80", "80", subnet="172.20.0.0/24")),
    "nft-published-no-proxy": nftables(
        published(*PORTS, subnet=DUAL, ipv6=True), {"userland-proxy": False}
    ),
    "nft-published-routed": nftables(
        published("8080:80", subnet=DUAL, ipv6=True, options=_keys({"gateway_mode_ipv4": "routed"}))
    ),
    "nft-published-unprotected": nftables(
        published(
            "8080:80",
            subnet="172.20.0.0/24",
            options=_keys({"gateway_mode_ipv4": "nat-unprotected"}),
        )
    ),
}


def on_kernels(names: Iterable[str], *more: Any) -> list[Any]:
    """Names of cases as parameters of a test that builds them, each marked with what it needs of
    the kernel; more: further parameters."""
    return [
        pytest.param(
            name, *more, marks=[pytest.mark.needs(*CASES[name].needs)] if CASES[name].needs else []
        )
        for name in names
    ]


def fixed(system: System) -> System:
    """A system with ids, names and MACs in a row instead of at random, and with files of its own.

    So a plan can be compared as text.
    """
    numbers = itertools.count(1)
    return replace(
        system,
        # hex digits that end in the number backwards, so that short prefixes differ
        token_hex=lambda size: f"{next(numbers):04x}"[::-1].ljust(2 * size, "0"),
        token_bytes=lambda size: next(numbers).to_bytes(size, "big"),
        host_name=lambda: "labhost",
        host_file=lambda name: "127.0.0.1 localhost\n",
        resolv_path=lambda: "/etc/resolv.conf",
        resolv_source=lambda: f"nameserver {ROUTER}\n",
    )
