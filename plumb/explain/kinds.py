"""The reason of any thing, by its kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plumb.explain import agents, links, rules, sysctls
from plumb.explain.reason import Reason
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

REASONS: dict[type[Thing], Callable[[Any], Reason]] = {
    Bridge: links.bridge,
    Veth: links.veth,
    Dummy: links.dummy,
    Vlan: links.vlan,
    Macvlan: links.macvlan,
    Ipvlan: links.ipvlan,
    Vxlan: links.vxlan,
    Master: links.master,
    Up: links.up,
    LinkAddress: links.link_address,
    Address: links.address,
    Route: links.route,
    FdbEntry: links.fdb_entry,
    Neighbour: links.neighbour,
    RoutingRule: links.routing_rule,
    TableRoute: links.table_route,
    Sysctl: sysctls.sysctl,
    Chain: rules.chain,
    Rule: rules.rule,
    Policy: rules.policy,
    NftTable: rules.nft_table,
    NftMap: rules.nft_map,
    NftChain: rules.nft_chain,
    NftElement: rules.nft_element,
    NftRule: rules.rule,
    IpvsService: rules.ipvs_service,
    IpvsDestination: rules.ipvs_destination,
    IpvsTimeouts: rules.ipvs_timeouts,
    Agent: agents.agent,
    HostPort: agents.host_port,
    Proxy: agents.proxy,
    Resolver: agents.resolver,
    Names: agents.names,
    EndpointRecord: agents.endpoint_record,
    XfrmState: agents.xfrm_state,
    XfrmPolicy: agents.xfrm_policy,
    XfrmBlock: agents.xfrm_block,
    Directory: agents.directory,
    File: agents.file,
    Namespace: agents.namespace,
    Process: agents.process,
    HealthProbe: agents.health_probe,
    DelayedStart: agents.delayed_start,
}


def reason(thing: Thing) -> Reason:
    """Return the reason of a thing."""
    return REASONS[type(thing)](thing)
