"""Things as commands of iproute2 and sysctl.

`shell` maps each kind of thing to its functions.
"""

from __future__ import annotations

import shlex

from plumb.things import Thing
from plumb.things.ipsec import CIPHER, ICV_BITS, MARK, XfrmBlock, XfrmPolicy, XfrmState
from plumb.things.layer3 import Address, Route, Sysctl
from plumb.things.links import (
    Bridge,
    Dummy,
    InPlace,
    Ipvlan,
    LinkAddress,
    Macvlan,
    Master,
    Moved,
    OnParent,
    Up,
    Veth,
    Vlan,
)
from plumb.things.policy_routing import PRIORITY, RoutingRule, TableRoute
from plumb.things.vxlan import FdbEntry, Neighbour, Vxlan

# -- links ---------------------------------------------------------------


def add_bridge(thing: Bridge) -> list[str]:
    pvid = "" if thing.default_pvid is None else f" vlan_default_pvid {thing.default_pvid}"
    made = [f"ip link add {thing.name} address {thing.mac} type bridge{pvid}"]
    return made + ([f"ip link set {thing.name} mtu {thing.mtu}"] if thing.mtu else [])


def change_bridge(thing: Bridge, before: Thing) -> list[str]:
    pvid = (
        "" if thing.default_pvid is None else f" type bridge vlan_default_pvid {thing.default_pvid}"
    )
    return [f"ip link set {thing.name} mtu {thing.mtu or 1500} address {thing.mac}{pvid}"]


def add_veth(thing: Veth) -> list[str]:
    mtu = f" mtu {thing.mtu}" if thing.mtu else ""
    near = f"{thing.name}{mtu} master {thing.master}{' up' if thing.up else ''}"
    far = f"{thing.peer} address {thing.peer_mac}{mtu} netns {shlex.quote(thing.peer_ns)}"
    hairpin = [f"ip link set {thing.name} type bridge_slave hairpin on"] if thing.hairpin else []
    return [f"ip link add {near} type veth peer name {far}", *hairpin]


def change_veth(thing: Veth, before: Thing) -> list[str]:
    return [
        (
            f"ip link set {thing.name} master {thing.master} mtu {thing.mtu or 1500}"
            f" {'up' if thing.up else 'down'}"
        ),
        f"ip link set {thing.name} type bridge_slave hairpin {'on' if thing.hairpin else 'off'}",
    ]


def add_dummy(thing: Dummy) -> list[str]:
    return [f"ip link add {thing.name} type dummy"]


def add_vlan(thing: Vlan) -> list[str]:
    return [f"ip link add link {thing.parent} name {thing.name} type vlan id {thing.id}"]


def remove_link(thing: InPlace) -> list[str]:
    return [f"ip link del {thing.name}"]


def _on_parent(thing: OnParent) -> str:
    return f"ip link add link {thing.parent} name {thing.born} netns {shlex.quote(thing.ns)}"


def _inside(thing: Moved, line: str) -> str:
    return f"nsenter --net={shlex.quote(thing.ns)} {line}"


def add_macvlan(thing: Macvlan) -> list[str]:
    # The kernel gives a passthru link its parent's MAC at RTM_NEWLINK, and ignores the one asked
    # for; a MAC that is set later also becomes the parent's.
    own = f" address {thing.mac}" if thing.mode == "passthru" else ""
    return [
        f"{_on_parent(thing)} address {thing.mac} type macvlan mode {thing.mode}",
        _inside(thing, f"ip link set {thing.born} name {thing.name}{own}"),
    ]


def change_macvlan(thing: Macvlan, before: Thing) -> list[str]:
    return [
        _inside(
            thing, f"ip link set {thing.name} address {thing.mac} type macvlan mode {thing.mode}"
        )
    ]


def add_ipvlan(thing: Ipvlan) -> list[str]:
    return [
        f"{_on_parent(thing)} type ipvlan mode {thing.mode} {thing.flag}",
        _inside(thing, f"ip link set {thing.born} name {thing.name}"),
    ]


def change_ipvlan(thing: Ipvlan, before: Thing) -> list[str]:
    return [_inside(thing, f"ip link set {thing.name} type ipvlan mode {thing.mode} {thing.flag}")]


def remove_moved_link(thing: Moved) -> list[str]:
    return [_inside(thing, f"ip link del {thing.name}")]


def add_vxlan(thing: Vxlan) -> list[str]:
    # "remote ::" is no remote at all: it makes the link's UDP socket one of IPv6.
    six = " remote ::" if thing.ipv6 else ""
    place = f"{thing.born} mtu {thing.mtu} netns {shlex.quote(thing.ns)}"
    own = f"id {thing.id} dstport {thing.port}{six} learning proxy l2miss l3miss udpcsum"
    return [
        f"ip link add {place} type vxlan {own}",
        _inside(thing, f"ip link set {thing.born} name {thing.name}"),
    ]


def change_vxlan(thing: Vxlan, before: Thing) -> list[str]:
    return [_inside(thing, f"ip link set {thing.name} mtu {thing.mtu}")]


def set_master(thing: Master) -> list[str]:
    return [f"ip link set {thing.dev} master {thing.bridge}"]


def remove_master(thing: Master) -> list[str]:
    return [f"ip link set {thing.dev} nomaster"]


def set_fdb_entry(thing: FdbEntry) -> list[str]:
    return [f"bridge fdb replace {thing.mac} dev {thing.dev} dst {thing.vtep} self permanent"]


def remove_fdb_entry(thing: FdbEntry) -> list[str]:
    return [f"bridge fdb del {thing.mac} dev {thing.dev} dst {thing.vtep} self permanent"]


def set_neighbour(thing: Neighbour) -> list[str]:
    return [f"ip neigh replace {thing.ip} lladdr {thing.mac} dev {thing.dev} nud permanent"]


def remove_neighbour(thing: Neighbour) -> list[str]:
    return [f"ip neigh del {thing.ip} dev {thing.dev}"]


def add_up(thing: Up) -> list[str]:
    return [f"ip link set {thing.dev} up"]


def remove_up(thing: Up) -> list[str]:
    return [f"ip link set {thing.dev} down"]


def set_link_address(thing: LinkAddress) -> list[str]:
    return [f"ip link set {thing.dev} address {thing.mac}"]


# -- IPsec ---------------------------------------------------------------


def add_xfrm_state(thing: XfrmState) -> list[str]:
    # The key is a secret: whoever types this has it in the environment.
    key = f'"0x${{PLUMB_KEY_{thing.tag}}}{thing.spi:08x}"'
    how = f"reqid {MARK} mode transport aead {shlex.quote(CIPHER)} {key} {ICV_BITS}"
    every = "sel src ::/0 dst ::/0" if thing.dst.version == 6 else "sel src 0.0.0.0/0 dst 0.0.0.0/0"
    return [f"ip xfrm state add {_esp(thing)} {how} {every}"]


def _esp(thing: XfrmState | XfrmPolicy) -> str:
    return f"src {thing.src} dst {thing.dst} proto esp spi {thing.spi:#010x}"


def remove_xfrm_state(thing: XfrmState) -> list[str]:
    return [f"ip xfrm state delete {_esp(thing)}"]


def _policy(thing: XfrmPolicy) -> str:
    length = thing.dst.max_prefixlen
    ends = f"src {thing.src}/{length} dst {thing.dst}/{length}"
    return f"{ends} proto udp dport {thing.port} dir out mark {MARK:#x} mask 0xffffffff"


def add_xfrm_policy(thing: XfrmPolicy) -> list[str]:
    return [f"ip xfrm policy add {_policy(thing)} {_template(thing)}"]


def change_xfrm_policy(thing: XfrmPolicy, before: Thing) -> list[str]:
    return [f"ip xfrm policy update {_policy(thing)} {_template(thing)}"]


def _template(thing: XfrmPolicy) -> str:
    return f"tmpl {_esp(thing)} reqid {MARK} mode transport"


def remove_xfrm_policy(thing: XfrmPolicy) -> list[str]:
    return [f"ip xfrm policy delete {_policy(thing)}"]


def _block(thing: XfrmBlock) -> str:
    every = "::/0" if thing.version == 6 else "0.0.0.0/0"
    what = f"src {every} dst {every} proto udp dport {thing.port}"
    return f"{what} dir out mark {MARK:#x} mask 0xffffffff"


def add_xfrm_block(thing: XfrmBlock) -> list[str]:
    return [f"ip xfrm policy add {_block(thing)} action block priority 1"]


def remove_xfrm_block(thing: XfrmBlock) -> list[str]:
    return [f"ip xfrm policy delete {_block(thing)}"]


# -- layer 3 ---------------------------------------------------------------


def add_address(thing: Address) -> list[str]:
    extra = (
        " nodad" if thing.ip.version == 6 else " brd +" if thing.ip.network.prefixlen < 31 else ""
    )
    return [f"ip address add {thing.ip}{extra} dev {thing.dev}"]


def remove_address(thing: Address) -> list[str]:
    return [f"ip address del {thing.ip} dev {thing.dev}"]


def _route(thing: Route) -> str:
    destination = "default" if thing.dst.prefixlen == 0 else str(thing.dst)
    via, scope = (
        (f" via {thing.via}", "")
        if thing.via
        else ("", " scope link" if thing.dst.version == 4 else "")
    )
    return f"{destination}{via} dev {thing.dev} proto boot{scope}"


def add_route(thing: Route) -> list[str]:
    return [f"ip -{thing.dst.version} route add {_route(thing)}"]


def change_route(thing: Route, before: Thing) -> list[str]:
    return [f"ip -{thing.dst.version} route replace {_route(thing)}"]


def remove_route(thing: Route) -> list[str]:
    return [f"ip -{thing.dst.version} route del {_route(thing)}"]


def add_routing_rule(thing: RoutingRule) -> list[str]:
    return [f"ip rule add {_routing_rule(thing)}"]


def remove_routing_rule(thing: RoutingRule) -> list[str]:
    return [f"ip rule del {_routing_rule(thing)}"]


def _routing_rule(thing: RoutingRule) -> str:
    return f"fwmark {thing.mark:#x} lookup {thing.table} priority {PRIORITY}"


def add_table_route(thing: TableRoute) -> list[str]:
    return [f"ip route add default via {thing.via} dev {thing.dev} table {thing.table}"]


def change_table_route(thing: TableRoute, before: Thing) -> list[str]:
    return [f"ip route replace default via {thing.via} dev {thing.dev} table {thing.table}"]


def remove_table_route(thing: TableRoute) -> list[str]:
    return [f"ip route del default table {thing.table}"]


def add_sysctl(thing: Sysctl) -> list[str]:
    return [f"sysctl -qw {shlex.quote(f'{thing.name}={thing.value}')}"]
