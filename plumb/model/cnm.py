"""The Container Network Model: networks, sandboxes and endpoints as frozen values.

    Sandbox ──< Endpoint >── Network

A **network** is a group of endpoints that reach each other. A **sandbox** is one container's
network stack: a network namespace with its DNS files. An **endpoint** joins one sandbox to one
network. These are the words of Docker's libnetwork; a sandbox is what the command line, as its
users do, calls a container.

The values are the intent: names and addresses are already allotted in them, so that what must exist
in the kernel follows from them alone. They do no I/O.
"""

from __future__ import annotations

from dataclasses import field
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import cast

from plumb.address import IPAddress, IPInterface
from plumb.digest import digest
from plumb.frozen import frozen
from plumb.model.driver_options import (
    BridgeOptions,
    DriverOptions,
    IpvlanOptions,
    MacvlanOptions,
    OverlayOptions,
)
from plumb.model.driver_traits import TRAITS, Traits
from plumb.model.lifecycle import CommandOptions, HealthCheck, LogOptions, RestartPolicy, Restarts
from plumb.model.net.pool import Pool as Pool
from plumb.model.net.status import Linked as Linked
from plumb.model.net.status import Role as Role
from plumb.model.net.status import Status as Status
from plumb.model.net.status import TaskOf
from plumb.model.ports import Port, PortBinding

Pairs = tuple[tuple[str, str], ...]
"""A mapping with str keys as a frozen value, in the order in which it was given."""


@frozen
class Network:
    """A network, its subnets and gateways allotted.

    Attributes:
        id: 64 hex digits.
        driver: "bridge", "host", "null", …
        options: what was given with -o, as given.
        bridge, macvlan, ipvlan, overlay: the same, parsed, for a network of that driver.
        advertise_count, advertise_interval: how often a new address is announced, and how many
        milliseconds apart.
        foreign: its link was there before the network; it is used, never changed or deleted.
        kept: gateway addresses that it had already, which are left alone as well.
        link_ipv6: the kernel has IPv6 on that link; link_mac: its MAC address, where it is foreign.
        opens: the address families for which the host did not forward before plumb.
        config_only: a configuration, which other networks take over by its name; config_from: the
        name of the one that this network has taken over, or will on each node.
        swarm: each node of the cluster builds it for itself, with addresses of its own choice.
        number: networks are numbered as they are made.
    """

    id: str
    name: str
    driver: str
    pools: tuple[Pool, ...] = ()
    ipv4: bool = True
    ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    options: Pairs = ()
    labels: Pairs = ()
    bridge: BridgeOptions = field(default_factory=BridgeOptions)
    macvlan: MacvlanOptions = field(default_factory=MacvlanOptions)
    ipvlan: IpvlanOptions = field(default_factory=IpvlanOptions)
    overlay: OverlayOptions = field(default_factory=OverlayOptions)
    advertise_count: int = 3
    advertise_interval: int = 1000
    foreign: bool = False
    kept: tuple[IPAddress, ...] = ()
    link_ipv6: bool = True
    link_mac: str = ""
    opens: tuple[int, ...] = ()
    config_only: bool = False
    config_from: str = ""
    swarm: bool = False
    created: str = ""
    number: int = 0

    @property
    def traits(self) -> Traits:
        """Traits of its driver, the same for all networks of it."""
        return TRAITS[self.driver]

    @property
    def own(self) -> DriverOptions:
        """Options of its driver."""
        found = self.traits
        if found.stored:
            return cast(DriverOptions, getattr(self, found.stored))
        return found.own_options(self.options)

    @property
    def parent(self) -> str:
        """The link of the host that its containers' links are made on, as asked for, or empty."""
        return self.own.parent

    @property
    def link(self) -> str:
        """Name of the network's link in the host; empty for a driver whose networks have none.

        The user names it with an option; else it is the driver's prefix and twelve digits of the
        id.
        """
        prefix = self.traits.link_prefix
        return self.own.link or (prefix + self.id[:12] if prefix else "")

    @property
    def bridge_in_host(self) -> bool:
        """True if its link is a bridge of the host, which routes for it: see `Traits`."""
        return self.traits.bridge_in_host

    @property
    def on_lan(self) -> bool:
        """True if its containers are machines of the segment of a link of the host."""
        return self.traits.on_lan

    @property
    def multi_host(self) -> bool:
        """True if it is a network of the cluster, with members on several hosts."""
        return self.traits.multi_host

    @property
    def of_cluster(self) -> bool:
        """True if the cluster has it, whether it spans hosts or each node builds its own."""
        return self.swarm or self.multi_host

    @property
    def predefined(self) -> bool:
        """True if it is one of Docker's three predefined networks: bridge, host and none."""
        return self.name in PREDEFINED

    @property
    def default(self) -> bool:
        """True if it is the default bridge network.

        Docker gives that one no embedded DNS server, and some settings of its own.
        """
        return self.name == DEFAULT_NETWORK

    @property
    def layer3(self) -> bool:
        """True if the network resolves no neighbours: ipvlan's modes l3 and l3s.

        All packets go straight to the link.
        """
        return self.own.layer3

    @property
    def closed(self) -> bool:
        """True if no packet leaves the network: it is internal, or its parent is a dummy."""
        return self.internal or (self.on_lan and not self.parent)

    def pool(self, version: int) -> Pool | None:
        """The first subnet of one address family; bridge networks have no second one."""
        return next((pool for pool in self.pools if pool.subnet.version == version), None)

    def pool_of(self, ip: IPAddress) -> Pool | None:
        """The subnet that an address is in."""
        return next((pool for pool in self.pools if ip in pool.subnet), None)

    def router(self, ip: IPInterface) -> IPAddress | None:
        """The default gateway that it offers to a container with this address."""
        if self.closed or self.layer3 or self.multi_host:
            return None
        pool = self.pool_of(ip)
        return None if pool is None else pool.router

    def leads_out(self, ip: IPInterface) -> bool:
        """True if the network connects a container with this address to the outside.

        A macvlan or ipvlan network on a real parent does, as in Docker, even where no gateway was
        given for that subnet; then there is no default route.
        """
        return not self.closed and (self.on_lan or self.router(ip) is not None)


DEFAULT_NETWORK = "bridge"
"""The name of the network that a container is on where none is named."""
PREDEFINED = frozenset({DEFAULT_NETWORK, "host", "none"})


@frozen
class Attachment:
    """Options of a sandbox's place in a network; they outlive a stop, unlike the endpoint.

    Attributes:
        network: the network's id, or its name while the network is not there yet.
        ip, ip6: addresses that were asked for.
        link_local: further link-local addresses.
        aliases: network-scoped names; None where they were not given at all.
        links: name and alias of others, which only this sandbox knows by that alias; on
        user-defined networks.
        gw_priority: the network with the highest provides the default gateway.
        ifname: the exact interface name, empty: the network's prefix and the lowest free number.
        sysctls: settings of the interface, `net/ipv4/conf/IFNAME/log_martians` and value.
        driver_opts: the driver options as given.
    """

    network: str
    ip: IPv4Address | None = None
    ip6: IPv6Address | None = None
    link_local: tuple[IPAddress, ...] = ()
    mac: str = ""
    aliases: tuple[str, ...] | None = None
    links: Pairs = ()
    gw_priority: int = 0
    ifname: str = ""
    sysctls: Pairs = ()
    driver_opts: Pairs = ()


@frozen
class Endpoint:
    """A running sandbox's place in a network: names and addresses as they are.

    Attributes:
        id: 64 hex digits.
        link: the link's name in the host, for good (its end of a veth pair) or only while it is
        made (macvlan, ipvlan); ifname: in the sandbox.
        mac: aa:bb:cc:dd:ee:ff; empty where it is the parent's (ipvlan).
        ip, ip6: addresses with the subnet's prefix length.
        ports: what is published of it, as long as it is the gateway of that address family.
    """

    id: str
    network: str
    sandbox: str
    link: str
    ifname: str
    mac: str
    ip: IPv4Interface | None = None
    ip6: IPv6Interface | None = None
    link_local: tuple[IPAddress, ...] = ()
    sysctls: Pairs = ()
    gw_priority: int = 0
    number: int = 0
    ports: tuple[Port, ...] = ()

    @property
    def ips(self) -> tuple[IPInterface, ...]:
        """Addresses in the network's subnets, IPv4 first."""
        return tuple(ip for ip in (self.ip, self.ip6) if ip is not None)

    def address(self, version: int) -> IPInterface | None:
        """Address of one family, None where the endpoint has none."""
        return self.ip if version == 4 else self.ip6

    def target(self, port: Port) -> IPAddress:
        """Destination address of a published port.

        It is of the host address's family, or IPv4 where the endpoint has no IPv6.
        """
        found = self.ip if port.host_ip.version == 4 or self.ip6 is None else self.ip6
        assert found is not None
        return found.ip

    def rewrites(self, port: Port) -> bool:
        """True if NAT leads from the host to a published port.

        NAT stays within a family, and needs a port of the host.
        """
        return bool(port.host_port) and self.target(port).version == port.host_ip.version


@frozen
class Sandbox:
    """A container as asked for, and where it is in its life.

    Attributes:
        mode: "network" for one with endpoints of its own, "host", "none", or "container:ID".
        attachments: its networks; the first is the one that it was made with.
        argv: its command; empty: it stays by itself until it is stopped.
        foreground: whoever ran it is running the command, so that it is nobody's to start.
        exposed: ports as "80/tcp"; ports: those to publish.
        extra_hosts: name and address, in order, for its hosts file; the address may be
        "host-gateway".
        host_gateways: what "host-gateway" stood for when it was started.
        links: names and aliases of the containers that it is linked to on the default network;
            linked: what is known of them since it was started; link_environment: what its command
            is told of them; linked_by: ids of those that are linked to it, or were once.
        owns_hostname: the host name was given, so that it is a DNS name too.
        resolv_source: the host's resolv.conf as it was when the sandbox was started; resolv_path:
            where it lies; hosts_source: the host's hosts file, for one in host mode.
        dns_udp, dns_tcp: the ports of its embedded DNS server while that runs, else 0.
        start: the number of its last start, from 0.
        read_only_host: its command sees the host's files read-only; isolate: and its own processes.
        log_size, log_files: bytes of a file of its log, and how many there are at most.
        role: a container, or a balancer of plumb's own, whose name begins with a slash so that no
            container can have it.
        task: the service that it is a task of; health: its health check.
        restart: what becomes of it when its command ends; restarts: what has; error: why not.
        command, log: further options of its command and of its log.
        made_with: the network that it was made with, once it has left it.
    """

    id: str
    name: str
    mode: str = "network"
    attachments: tuple[Attachment, ...] = ()
    hostname: str = ""
    domainname: str = ""
    owns_hostname: bool = False
    mac: str = ""
    argv: tuple[str, ...] = ()
    foreground: bool = False
    environment: tuple[str, ...] = ()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    privileged: bool = False
    sysctls: Pairs = ()
    exposed: tuple[str, ...] = ()
    ports: tuple[PortBinding, ...] = ()
    publish_all: bool = False
    dns: tuple[IPAddress, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    extra_hosts: Pairs = ()
    host_gateways: tuple[IPAddress, ...] = ()
    links: Pairs = ()
    linked: tuple[Linked, ...] = ()
    link_environment: tuple[str, ...] = ()
    linked_by: tuple[str, ...] = ()
    labels: Pairs = ()
    auto_remove: bool = False
    log_size: int = 10 << 20
    log_files: int = 3
    created: str = ""
    number: int = 0
    status: Status = Status.CREATED
    started: str = ""
    finished: str = ""
    exit_code: int = 0
    resolv_source: str = ""
    resolv_path: str = "/etc/resolv.conf"
    hosts_source: str = ""
    dns_udp: int = 0
    dns_tcp: int = 0
    start: int = 0
    read_only_host: bool = False
    isolate: bool = False
    role: Role = Role.CONTAINER
    task: TaskOf | None = None
    error: str = ""
    restart: RestartPolicy = RestartPolicy()
    restarts: Restarts = Restarts()
    health: HealthCheck = HealthCheck()
    command: CommandOptions = CommandOptions()
    log: LogOptions = LogOptions()
    made_with: str = ""

    @property
    def key(self) -> str:
        """The sandbox id of Docker's NetworkSettings: not the container's, but as long-lived."""
        return digest(f"sandbox {self.id}").hex()

    def attachment(self, net: Network) -> Attachment | None:
        """Attachment to a network, which the sandbox records by id or by name; None without one."""
        return next((wish for wish in self.attachments if wish.network in (net.id, net.name)), None)

    @property
    def target(self) -> str:
        """Id of the container whose network stack it shares (mode "container:ID"), or empty."""
        return self.mode.partition(":")[2]

    @property
    def shares(self) -> bool:
        """True if it has no network stack of its own."""
        return self.mode == "host" or bool(self.target)


Ends = list[tuple[Endpoint, Network]]
"""A sandbox's endpoints with their networks."""
