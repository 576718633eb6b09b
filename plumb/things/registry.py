"""Kinds of things by class name, to decode a stored thing."""

from __future__ import annotations

from plumb.things import Thing
from plumb.things.cluster import EndpointRecord
from plumb.things.dns import Names, Resolver
from plumb.things.host_ports import Agent, HostPort, Proxy
from plumb.things.ipsec import XfrmBlock, XfrmPolicy, XfrmState
from plumb.things.iptables import Chain, Policy, Rule
from plumb.things.ipvs import IpvsDestination, IpvsService, IpvsTimeouts
from plumb.things.layer3 import Address, Route, Sysctl
from plumb.things.links import Bridge, Dummy, Ipvlan, LinkAddress, Macvlan, Master, Up, Veth, Vlan
from plumb.things.nftables import NftChain, NftElement, NftMap, NftRule, NftTable
from plumb.things.policy_routing import RoutingRule, TableRoute
from plumb.things.sandbox import Directory, File, Namespace, Process
from plumb.things.supervision import DelayedStart, HealthProbe
from plumb.things.vxlan import FdbEntry, Neighbour, Vxlan

KINDS: dict[str, type[Thing]] = {
    kind.__name__: kind
    for kind in (
        Address,
        Route,
        Sysctl,
        Bridge,
        Dummy,
        Ipvlan,
        Macvlan,
        Master,
        Up,
        LinkAddress,
        Veth,
        Vlan,
        Chain,
        Policy,
        Rule,
        Directory,
        File,
        Namespace,
        Process,
        Agent,
        HostPort,
        Proxy,
        Names,
        Resolver,
        NftTable,
        NftMap,
        NftChain,
        NftElement,
        NftRule,
        EndpointRecord,
        XfrmState,
        XfrmPolicy,
        XfrmBlock,
        Vxlan,
        FdbEntry,
        Neighbour,
        IpvsService,
        IpvsDestination,
        IpvsTimeouts,
        HealthProbe,
        DelayedStart,
        RoutingRule,
        TableRoute,
    )
}
