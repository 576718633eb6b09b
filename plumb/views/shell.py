"""Steps as commands for a shell: `--dry-run`, `--show-commands`.

Typed into a shell in a fresh network namespace, in this order, the commands make the same kernel
state as plumb does; the tests run them. Commands for a sandbox begin with nsenter.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from plumb.plan import Step
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
from plumb.views import shell_agent as agent
from plumb.views import shell_firewall as firewall
from plumb.views import shell_ip as ip
from plumb.views import shell_sandbox as sandbox


def commands(steps: Iterable[Step], explain: bool = False) -> Iterator[str]:
    """Command lines of these steps.

    Args:
        explain: True to append a rule's reason as a comment.
    """
    for step in steps:
        why = getattr(step.after, "why", "")
        comment = f"    # {why}" if explain and why else ""
        for line in _lines(step):
            where = step.thing.where
            yield (f"nsenter --net={shlex.quote(where)} {line}" if where else line) + comment


def _lines(step: Step) -> list[str]:
    typed = TYPED[type(step.thing)]
    if step.after is None:
        return typed.remove(step.thing)
    if step.before is None or typed.change is None:
        return typed.add(step.after)
    return typed.change(step.after, step.before)


def _none(thing: Thing) -> list[str]:
    """Raise for a permanent thing: no step removes one."""
    raise NotImplementedError(type(thing))


class Typed(NamedTuple):
    """Functions that format the commands for a kind of thing.

    Attributes:
        add: commands that create it.
        remove: commands that delete it.
        change: commands that change it from another state; None: the same as to create it.
    """

    add: Callable[[Any], list[str]]
    remove: Callable[[Any], list[str]] = _none
    change: Callable[[Any, Thing], list[str]] | None = None


TYPED: dict[type[Thing], Typed] = {
    Bridge: Typed(ip.add_bridge, ip.remove_link, ip.change_bridge),
    Veth: Typed(ip.add_veth, ip.remove_link, ip.change_veth),
    Dummy: Typed(ip.add_dummy, ip.remove_link),
    Vlan: Typed(ip.add_vlan, ip.remove_link),
    Macvlan: Typed(ip.add_macvlan, ip.remove_moved_link, ip.change_macvlan),
    Ipvlan: Typed(ip.add_ipvlan, ip.remove_moved_link, ip.change_ipvlan),
    Vxlan: Typed(ip.add_vxlan, ip.remove_moved_link, ip.change_vxlan),
    FdbEntry: Typed(ip.set_fdb_entry, ip.remove_fdb_entry),
    Neighbour: Typed(ip.set_neighbour, ip.remove_neighbour),
    XfrmState: Typed(ip.add_xfrm_state, ip.remove_xfrm_state),
    XfrmPolicy: Typed(ip.add_xfrm_policy, ip.remove_xfrm_policy, ip.change_xfrm_policy),
    XfrmBlock: Typed(ip.add_xfrm_block, ip.remove_xfrm_block),
    Master: Typed(ip.set_master, ip.remove_master),
    Up: Typed(ip.add_up, ip.remove_up),
    LinkAddress: Typed(ip.set_link_address),
    Address: Typed(ip.add_address, ip.remove_address),
    Route: Typed(ip.add_route, ip.remove_route, ip.change_route),
    RoutingRule: Typed(ip.add_routing_rule, ip.remove_routing_rule),
    TableRoute: Typed(ip.add_table_route, ip.remove_table_route, ip.change_table_route),
    Sysctl: Typed(ip.add_sysctl),
    Chain: Typed(firewall.add_chain, firewall.remove_chain),
    Rule: Typed(firewall.add_rule, firewall.remove_rule),
    Policy: Typed(firewall.add_policy),
    IpvsService: Typed(
        firewall.add_ipvs_service, firewall.remove_ipvs_service, firewall.change_ipvs_service
    ),
    IpvsDestination: Typed(
        firewall.add_ipvs_destination,
        firewall.remove_ipvs_destination,
        firewall.change_ipvs_destination,
    ),
    IpvsTimeouts: Typed(firewall.set_ipvs_timeouts),
    NftTable: Typed(firewall.add_nft_table, firewall.remove_nft_object),
    NftMap: Typed(firewall.add_nft_map, firewall.remove_nft_object),
    NftChain: Typed(firewall.add_nft_chain, firewall.remove_nft_object),
    NftElement: Typed(
        firewall.add_nft_element, firewall.remove_nft_element, firewall.change_nft_element
    ),
    NftRule: Typed(firewall.add_nft_rule, firewall.remove_nft_rule),
    Namespace: Typed(sandbox.add_namespace, sandbox.remove_namespace),
    Directory: Typed(sandbox.add_directory, sandbox.remove_directory),
    File: Typed(sandbox.add_file, sandbox.remove_file, sandbox.change_file),
    Process: Typed(sandbox.add_process, sandbox.remove_process),
    Agent: Typed(agent.add_agent, agent.remove_agent),
    Resolver: Typed(agent.add_resolver, agent.remove_resolver),
    Names: Typed(agent.add_names, agent.remove_names),
    EndpointRecord: Typed(agent.publish, agent.withdraw),
    HealthProbe: Typed(agent.check, agent.uncheck),
    DelayedStart: Typed(agent.delay, agent.undelay),
    HostPort: Typed(agent.add_port_or_proxy, agent.remove_port_or_proxy),
    Proxy: Typed(agent.add_port_or_proxy, agent.remove_port_or_proxy),
}
