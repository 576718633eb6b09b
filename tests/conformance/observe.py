"""The kernel state of a namespace, read back with the system's own tools.

It is deliberately independent of what it observes: ip, bridge, iptables-save, nft, ss, ipvsadm and
/proc/sys say what there is, so that two engines which build the same wiring are compared on equal
terms. One shell runs all of the tools."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, TypedDict

from plumb.kernel.netns.namespaces import entered
from tests.labs import sh

Chains = dict[str, dict[str, Any]]  # chain → {"policy": …, "rules": […]}


class State(TypedDict):
    """A namespace's state, in the recordings' words."""

    links: dict[str, dict[str, Any]]
    addrs: dict[str, list[str]]
    routes: list[str]
    neighbours: list[str]
    fdb: list[str]
    sysctls: dict[str, str]
    iptables: dict[str, Chains]
    ip6tables: dict[str, Chains]
    nft: str
    listeners: list[str]
    ipvs: list[str]
    xfrm: dict[str, list[str]]
    rules: list[str]
    ipvs_timeouts: str


TOOLS = {
    "links": "ip -j -d address show",
    "routes4": "ip -j -4 route show table main",
    "routes6": "ip -j -6 route show table main",
    "neighbours4": "ip -j -4 neighbour show nud permanent",
    "neighbours6": "ip -j -6 neighbour show nud permanent",
    "fdb": "bridge -j fdb show",
    "iptables": "iptables-nft-save; ! grep -q . /proc/net/ip_tables_names || iptables-legacy-save",
    "ip6tables": (
        "ip6tables-nft-save; ! grep -q . /proc/net/ip6_tables_names || ip6tables-legacy-save"
    ),
    "nft": "nft -s list ruleset",
    "listeners": "ss -HlntuS",
    "ipvs": "ipvsadm -Sn",
    "states": "ip -d xfrm state",
    "policies": "ip -d xfrm policy",
    "rules": "ip rule show",
    "timeouts": "ipvsadm -ln --timeout",
}
_SCRIPT = "exec 2>/dev/null\n" + "\n".join(
    f"printf '\\n%%%% {name}\\n'\n{command}" for name, command in TOOLS.items()
)

SYSCTLS = (
    "net.ipv4.ip_forward",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv6.conf.all.forwarding",
    "net.ipv6.conf.default.forwarding",
    "net.bridge.bridge-nf-call-iptables",
    "net.bridge.bridge-nf-call-ip6tables",
    "net.ipv4.vs.conntrack",
    "net.ipv4.vs.conn_reuse_mode",
    "net.ipv4.vs.expire_nodest_conn",
    "net.ipv4.vs.expire_quiescent_template",
)
LINK_SYSCTLS = (
    *(("ipv4", leaf) for leaf in ("route_localnet", "forwarding", "arp_notify", "proxy_arp")),
    *(("ipv6", leaf) for leaf in ("disable_ipv6", "accept_ra", "forwarding", "addr_gen_mode")),
)
DEEP = (
    "net.ipv4.vs.snat_reroute",
    "net.ipv4.vs.sloppy_tcp",
    "net.ipv4.vs.schedule_icmp",
    "net.ipv4.vs.nat_icmp_send",
    "net.ipv4.vs.pmtu_disc",
    "net.ipv4.conf.all.arp_ignore",
    "net.ipv4.conf.all.arp_announce",
)
DEEP_LINK = ("arp_ignore", "arp_announce")
TIMEOUTS = "Timeout (tcp tcpfin udp):"
FLAGS = {"UP", "BROADCAST", "NOARP", "PROMISC", "ALLMULTI"}
PORT = ("hairpin", "isolated", "learning", "flood")
PARAMETERS = {
    "bridge": ("stp_state", "vlan_filtering", "mcast_snooping", "group_fwd_mask", "ageing_time"),
    "vxlan": (
        "id",
        "port",
        "learning",
        "proxy",
        "l2_miss",
        "l3_miss",
        "group",
        "local",
        "ttl",
        "df",
        "udp_csum",
    ),
    "macvlan": ("mode",),
    "ipvlan": ("mode", "flags"),
    "vlan": ("id", "protocol"),
}
FRONT_ENDS = ("filter", "nat", "mangle", "raw", "security")  # nft tables that are iptables' own


def observe(netns: str, deeply: Sequence[str] = (), of_links: Sequence[str] = ()) -> State:
    """What there is in the namespace of that file.

    Args:
        netns: the namespace's file.
        deeply: sysctls to read besides SYSCTLS, and with them the timeouts of IPVS.
        of_links: sysctls of each link to read besides LINK_SYSCTLS.
    """
    with entered(netns):
        said = _sections(sh(_SCRIPT, check=False))
        links = _json(said["links"])
        return {
            "links": {link["ifname"]: _link(link) for link in links},
            "addrs": {link["ifname"]: found for link in links if (found := _addresses(link))},
            "routes": sorted(_routes(said["routes4"]) + _routes(said["routes6"], six=True)),
            "neighbours": sorted(
                f"{n['dst']} dev {n['dev']} lladdr {n.get('lladdr')}"
                for n in _json(said["neighbours4"]) + _json(said["neighbours6"])
            ),
            "fdb": _fdb(said["fdb"]),
            "sysctls": _sysctls([link["ifname"] for link in links], deeply, of_links),
            "iptables": _tables(said["iptables"]),
            "ip6tables": _tables(said["ip6tables"]),
            "nft": _native(said["nft"]),
            "listeners": sorted(
                f"{columns[0]} {columns[4]}"
                for columns in map(str.split, said["listeners"].splitlines())
            ),
            "ipvs": said["ipvs"].splitlines(),
            "xfrm": {"state": _xfrm(said["states"]), "policy": _xfrm(said["policies"])},
            "rules": [
                " ".join(line.split())
                for line in said["rules"].splitlines()
                if not re.match(r"(0|32766|32767):\s+from all lookup", line)
            ],
            "ipvs_timeouts": " ".join(said["timeouts"].replace(TIMEOUTS, "").split())
            if deeply
            else "",
        }


def _sections(output: str) -> dict[str, str]:
    parts = re.split(r"(?:^|\n)%% (\w+)\n", output)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def _json(text: str) -> list[dict[str, Any]]:
    """ip's JSON; a family that the kernel lacks says nothing at all."""
    return [entry for entry in json.loads(text or "[]") if entry]


def _link(link: dict[str, Any]) -> dict[str, Any]:
    info = link.get("linkinfo", {})
    kind, data, port = (
        info.get("info_kind", ""),
        info.get("info_data", {}),
        info.get("info_slave_data", {}),
    )
    return {
        "kind": kind,
        "index": link["ifindex"],
        "peer_index": link.get("link_index"),
        "parent": link.get("link"),
        "master": link.get("master"),
        "mac": link.get("address"),
        "mtu": link.get("mtu"),
        "flags": sorted(FLAGS & set(link.get("flags", ()))),
        "data": {key: data[key] for key in PARAMETERS.get(kind, ()) if key in data},
        "port": {key: port[key] for key in PORT if key in port},
    }


def _addresses(link: dict[str, Any]) -> list[str]:
    return sorted(
        f"{a['local']}/{a['prefixlen']}"
        for a in link.get("addr_info", ())
        if "local" in a and not _link_local(a["local"])
    )


def _link_local(address: str) -> bool:
    return address.lower().startswith("fe80:")


def _routes(text: str, six: bool = False) -> list[str]:
    found = []
    for route in _json(text):
        if _link_local(route["dst"]) or (six and route["dst"].startswith("ff00:")):
            continue
        words = [route["dst"]]
        for key, word in (
            ("gateway", "via"),
            ("dev", "dev"),
            ("scope", "scope"),
            ("prefsrc", "src"),
        ):
            words += [word, route[key]] if route.get(key) else []
        if route.get("metric") and not (
            six and route["metric"] in (256, 1024)
        ):  # IPv6's own defaults
            words += ["metric", str(route["metric"])]
        found.append(" ".join(words))
    return found


def _fdb(text: str) -> list[str]:
    """Entries that lead to another host; multicast is the kernel's own affair."""
    return sorted(
        f"{e['mac']} dev {e['ifname']} dst {e['dst']}"
        + (f" vni {e['vni']}" if e.get("vni") else "")
        for e in _json(text)
        if "dst" in e and not e["mac"].startswith(("33:33:", "01:00:5e", "01:80:c2"))
    )


def _sysctls(links: list[str], deeply: Sequence[str], of_links: Sequence[str]) -> dict[str, str]:
    """The values; /proc/sys/net is that of the calling thread's namespace."""
    paths = {name: name.replace(".", "/") for name in (*SYSCTLS, *deeply)}
    for link in links:  # whose name may hold dots
        paths.update(
            {
                f"net.{family}.conf.{link}.{leaf}": f"net/{family}/conf/{link}/{leaf}"
                for family, leaf in (*LINK_SYSCTLS, *(("ipv4", leaf) for leaf in of_links))
            }
        )
    found = {}
    for name, path in paths.items():
        try:
            with open(f"/proc/sys/{path}") as file:
                found[name] = file.read().strip().replace("\t", " ")
        except OSError:  # this kernel, or this link, has none
            pass
    return found


def _tables(text: str) -> dict[str, Chains]:
    """Rules by table and chain, of both variants together.

    A chain of no rules that accepts says nothing.
    """
    tables: dict[str, Chains] = {}
    for line in text.splitlines():
        if line.startswith("*"):
            chains = tables.setdefault(line[1:], {})
        elif line.startswith(":"):
            chain, policy, *_ = line[1:].split()
            body = chains.setdefault(chain, {"policy": policy, "rules": []})
            body["policy"] = policy if policy != "ACCEPT" else body["policy"]
        elif line.startswith("-A "):
            _, chain, rule = line.split(" ", 2)
            chains[chain]["rules"].append(rule)
    telling = {
        table: {c: b for c, b in chains.items() if b["rules"] or b["policy"] != "ACCEPT"}
        for table, chains in tables.items()
    }
    return {table: chains for table, chains in telling.items() if chains}


def _native(text: str) -> str:
    """nft's own tables, as it prints them."""
    kept, mine = [], True
    for line in text.splitlines():
        if heading := re.match(r"table \w+ (\S+) \{", line):
            mine = heading[1] not in FRONT_ENDS
        if mine and not line.startswith("#"):
            kept.append(line)
    return "\n".join(kept).strip()


def _xfrm(text: str) -> list[str]:
    hidden = re.sub(r"0x[0-9a-f]{16,}", "<key>", text)
    return sorted(" ".join(block.split()) for block in re.split(r"\n(?=src )", hidden) if block)
