"""Things as commands of iptables, ip6tables, nft and ipvsadm."""

from __future__ import annotations

import shlex

from plumb.things import Thing
from plumb.things.iptables import Chain, Policy, Position, Rule
from plumb.things.ipvs import Forward, IpvsDestination, IpvsService, IpvsTimeouts
from plumb.things.nftables import NftChain, NftElement, NftMap, NftRule, NftTable

# -- iptables ---------------------------------------------------------------


def add_chain(thing: Chain) -> list[str]:
    return [f"{thing.family} -w -t {thing.table} -N {thing.name}"]


def remove_chain(thing: Chain) -> list[str]:
    flush = [] if thing.users else [f"{thing.family} -w -t {thing.table} -F {thing.name}"]
    return [*flush, f"{thing.family} -w -t {thing.table} -X {thing.name}"]


def add_rule(thing: Rule) -> list[str]:
    return [f"{thing.family} -w -t {thing.table} {thing.place} {thing.chain} {thing.spec}"]


def remove_rule(thing: Rule) -> list[str]:
    return [f"{thing.family} -w -t {thing.table} -D {thing.chain} {thing.spec}"]


def add_policy(thing: Policy) -> list[str]:
    return [f"{thing.family} -w -t {thing.table} -P {thing.chain} {thing.verdict}"]


# -- nftables ---------------------------------------------------------------


def _nft(thing: NftTable | NftMap | NftChain | NftElement) -> str:
    """Arguments of nft add, create or delete: the kind, the table, the name."""
    match thing:
        case NftTable():
            return f"table {thing.family} {thing.name}"
        case NftElement():
            return f"element {thing.family} {thing.table} {thing.map}"
    kind = "map" if isinstance(thing, NftMap) else "chain"
    return f"{kind} {thing.family} {thing.table} {thing.name}"


def _handle(thing: NftRule, spec: str) -> str:
    """Command substitution for a rule's handle, which nft needs to delete or insert."""
    script = """'{ sub(/^\\t+/, "") } $1 == rule { print $2; exit }'"""
    return (
        f"$(nft -s -a list chain {thing.family} {thing.table} {thing.chain}"
        f" | awk -F ' # handle ' -v rule={shlex.quote(spec)} {script})"
    )


def add_nft_table(thing: NftTable) -> list[str]:
    return [f"nft create {_nft(thing)}"]


def add_nft_map(thing: NftMap) -> list[str]:
    return [f"nft create {_nft(thing)} '{{ type ifname : verdict; }}'"]


def add_nft_chain(thing: NftChain) -> list[str]:
    base = (
        f" '{{ type {thing.type} hook {thing.hook} priority {thing.priority};"
        f" policy {thing.policy}; }}'"
        if thing.hook
        else ""
    )
    return [f"nft add {_nft(thing)}{base}"]


def add_nft_element(thing: NftElement) -> list[str]:
    return [f"""nft create {_nft(thing)} '{{ "{thing.link}" : jump {thing.chain} }}'"""]


def change_nft_element(thing: NftElement, before: Thing) -> list[str]:
    return [*remove_nft_element(thing), *add_nft_element(thing)]


def remove_nft_object(thing: NftTable | NftMap | NftChain) -> list[str]:
    return [f"nft delete {_nft(thing)}"]


def remove_nft_element(thing: NftElement) -> list[str]:
    return [f"""nft delete {_nft(thing)} '{{ "{thing.link}" }}'"""]


def add_nft_rule(thing: NftRule) -> list[str]:
    where, verb = (
        f"{thing.family} {thing.table} {thing.chain}",
        "insert" if thing.place is Position.HEAD else "add",
    )
    if thing.before:
        return [
            (
                f"nft insert rule {where} handle {_handle(thing, thing.before)}"
                f" {shlex.quote(thing.spec)}"
            )
        ]
    return [f"nft {verb} rule {where} {shlex.quote(thing.spec)}"]


def remove_nft_rule(thing: NftRule) -> list[str]:
    return [
        (
            f"nft delete rule {thing.family} {thing.table} {thing.chain}"
            f" handle {_handle(thing, thing.spec)}"
        )
    ]


# -- IPVS ---------------------------------------------------------------


FORWARDS = {Forward.MASQ: "-m", Forward.ROUTE: "-g"}


def add_ipvs_service(thing: IpvsService) -> list[str]:
    return [f"ipvsadm -A {_ipvs_mark(thing.mark, thing.version)} -s {thing.scheduler}"]


def change_ipvs_service(thing: IpvsService, before: Thing) -> list[str]:
    return [f"ipvsadm -E {_ipvs_mark(thing.mark, thing.version)} -s {thing.scheduler}"]


def remove_ipvs_service(thing: IpvsService) -> list[str]:
    return [f"ipvsadm -D {_ipvs_mark(thing.mark, thing.version)}"]


def add_ipvs_destination(thing: IpvsDestination) -> list[str]:
    return [f"ipvsadm -a {_ipvs_destination(thing)} {_forwarded(thing)}"]


def change_ipvs_destination(thing: IpvsDestination, before: Thing) -> list[str]:
    return [f"ipvsadm -e {_ipvs_destination(thing)} {_forwarded(thing)}"]


def remove_ipvs_destination(thing: IpvsDestination) -> list[str]:
    return [f"ipvsadm -d {_ipvs_destination(thing)}"]


def set_ipvs_timeouts(thing: IpvsTimeouts) -> list[str]:
    return [f"ipvsadm --set {thing.tcp} {thing.tcp_fin} {thing.udp}"]


def _ipvs_mark(mark: int, version: int) -> str:
    return f"-f {mark}" + (" -6" if version == 6 else "")


def _ipvs_destination(thing: IpvsDestination) -> str:
    real = f"[{thing.ip}]:0" if thing.ip.version == 6 else f"{thing.ip}:0"
    return f"{_ipvs_mark(thing.mark, thing.ip.version)} -r {real}"


def _forwarded(thing: IpvsDestination) -> str:
    return f"{FORWARDS[thing.forward]} -w {thing.weight}"
