"""Tables of iptables-nft as nf_tables has them: dumps, and messages that change them.

iptables-nft makes a table, and each of its built-in chains, when the first rule needs it, and never
takes them away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from plumb.kernel.netfilter.iptables_nft.encode import encode
from plumb.kernel.netfilter.nf_tables.dump import ChainDump, dump_rules, generation
from plumb.kernel.netlink.codec import (
    Request,
    attribute,
    attribute_be32,
    attributes,
    be_number,
    chosen_attributes,
    text,
)
from plumb.kernel.netlink.nfnetlink import Netfilter, request
from plumb.kernel.netlink.uapi.linux_netfilter import (
    NF_ACCEPT,
    NF_DROP,
    NF_INET_FORWARD,
    NF_INET_LOCAL_IN,
    NF_INET_LOCAL_OUT,
    NF_INET_POST_ROUTING,
    NF_INET_PRE_ROUTING,
    NFGENMSG,
    NFNL_SUBSYS_NFTABLES,
    NFPROTO_IPV4,
    NFPROTO_IPV6,
    NFT_MSG_DELCHAIN,
    NFT_MSG_DELRULE,
    NFT_MSG_GETCHAIN,
    NFT_MSG_NEWCHAIN,
    NFT_MSG_NEWRULE,
    NFT_MSG_NEWTABLE,
    NFTA_CHAIN_COUNTERS,
    NFTA_CHAIN_HOOK,
    NFTA_CHAIN_NAME,
    NFTA_CHAIN_POLICY,
    NFTA_CHAIN_TABLE,
    NFTA_CHAIN_TYPE,
    NFTA_COUNTER_BYTES,
    NFTA_COUNTER_PACKETS,
    NFTA_HOOK_HOOKNUM,
    NFTA_HOOK_PRIORITY,
    NFTA_RULE_CHAIN,
    NFTA_RULE_COMPAT,
    NFTA_RULE_COMPAT_FLAGS,
    NFTA_RULE_COMPAT_PROTO,
    NFTA_RULE_EXPRESSIONS,
    NFTA_RULE_HANDLE,
    NFTA_RULE_TABLE,
    NFTA_TABLE_NAME,
)
from plumb.kernel.netlink.uapi.linux_netlink import NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL
from plumb.things.iptables import Chain, Family, Policy, Position, Rule

FAMILY = {Family.V4: NFPROTO_IPV4, Family.V6: NFPROTO_IPV6}
HOOKS = {
    "PREROUTING": NF_INET_PRE_ROUTING,
    "INPUT": NF_INET_LOCAL_IN,
    "FORWARD": NF_INET_FORWARD,
    "OUTPUT": NF_INET_LOCAL_OUT,
    "POSTROUTING": NF_INET_POST_ROUTING,
}
PRIORITIES = {"raw": -300, "mangle": -150, "filter": 0, "security": 50}
"""Priority of a table's chains (linux/netfilter_ipv4.h); nat's differ by the chain."""
NAT = {"PREROUTING": -100, "INPUT": 100, "OUTPUT": -100, "POSTROUTING": 100}
POLICIES = {NF_DROP: "DROP", NF_ACCEPT: "ACCEPT"}
_CHAIN = frozenset({NFTA_RULE_CHAIN})
NOTHING_COUNTED = attribute(NFTA_COUNTER_PACKETS, bytes(8)) + attribute(
    NFTA_COUNTER_BYTES, bytes(8)
)


@dataclass
class Listing:
    """Chains and rules of one namespace, each dumped when it is asked for.

    Args:
        netfilter: a connection in that namespace.
    """

    netfilter: Netfilter
    _chains: dict[Family, dict[tuple[str, str], str]] = field(default_factory=dict)
    _rules: dict[tuple[Family, str, str], ChainDump] = field(default_factory=dict)
    _whole: set[tuple[Family, str]] = field(default_factory=set)

    def generation(self) -> int:
        """The number of the ruleset, which every change of it raises."""
        return generation(self.netfilter)

    def chains(self, family: Family) -> dict[tuple[str, str], str]:
        """The policy of each chain by table and name; "-" for a chain that has none."""
        if family not in self._chains:
            found = [
                attributes(body, NFGENMSG.size)
                for body in self._dump(NFT_MSG_GETCHAIN, family, b"")
            ]
            self._chains[family] = {
                (text(each[NFTA_CHAIN_TABLE]), text(each[NFTA_CHAIN_NAME])): POLICIES[
                    be_number(each[NFTA_CHAIN_POLICY])
                ]
                if NFTA_CHAIN_POLICY in each
                else "-"
                for each in found
            }
        return self._chains[family]

    def has_chain(self, family: Family, table: str, name: str) -> bool:
        """Tell whether there is a chain; no dump is needed for one whose rules were dumped."""
        known = self._rules.get((family, table, name))
        return bool(known and known.bodies) or (table, name) in self.chains(family)

    def rules(self, family: Family, table: str, chain: str) -> ChainDump:
        """The rules of a chain, in its order; none where there is no such chain."""
        where = (family, table, chain)
        if where not in self._rules:
            found = () if (family, table) in self._whole else self._dumped(family, table, chain)
            self._rules[where] = ChainDump(list(found))
        return self._rules[where]

    def read_table(self, family: Family, table: str) -> None:
        """Dump a table's rules at once, for those who need many of its chains."""
        if (family, table) in self._whole:
            return
        self._whole.add((family, table))
        chains: dict[bytes, list[bytes]] = {}
        for body in self._dumped(family, table):
            chain = chosen_attributes(body, NFGENMSG.size, _CHAIN)[NFTA_RULE_CHAIN]
            chains.setdefault(chain, []).append(body)
        for chain, bodies in chains.items():
            self._rules[family, table, text(chain)] = ChainDump(bodies)

    def _dumped(self, family: Family, table: str, chain: str = "") -> list[bytes]:
        return dump_rules(self.netfilter, FAMILY[family], table, chain)

    def _dump(self, kind: int, family: Family, body: bytes) -> list[bytes]:
        head = NFGENMSG.pack(FAMILY[family], 0, 0)
        return self.netfilter.dump(NFNL_SUBSYS_NFTABLES << 8 | kind, head + body)


# -- messages -----------------------------------------------------------------


def new_table(family: Family, table: str) -> Request:
    """Make a table, if it is not there."""
    return _request(NFT_MSG_NEWTABLE, family, attribute(NFTA_TABLE_NAME, table), NLM_F_CREATE)


def new_built_in(family: Family, table: str, chain: str) -> Request:
    """Make a table's built-in chain, if it is not there; its policy stays as it is.

    Raises:
        KeyError: the table has no such chain.
    """
    priority = NAT[chain] if table == "nat" else PRIORITIES[table]
    kind = "nat" if table == "nat" else "filter"
    hook = attribute_be32(NFTA_HOOK_HOOKNUM, HOOKS[chain])
    hook += attribute_be32(NFTA_HOOK_PRIORITY, priority & 0xFFFFFFFF)
    body = (
        _named(table, chain)
        + attribute(NFTA_CHAIN_HOOK, hook)
        + attribute(NFTA_CHAIN_TYPE, "route" if (table, chain) == ("mangle", "OUTPUT") else kind)
    )
    return _request(NFT_MSG_NEWCHAIN, family, body, NLM_F_CREATE)


def new_chain(chain: Chain) -> Request:
    """Make a chain; EEXIST where there is one of that name."""
    body = _named(chain.table, chain.name)
    return _request(NFT_MSG_NEWCHAIN, chain.family, body, NLM_F_CREATE | NLM_F_EXCL)


def drop_chain(chain: Chain) -> Iterator[Request]:
    """Delete a chain with the rules that are in it; a user's chain only without any."""
    if not chain.users:
        rules = attribute(NFTA_RULE_TABLE, chain.table) + attribute(NFTA_RULE_CHAIN, chain.name)
        yield _request(NFT_MSG_DELRULE, chain.family, rules)
    yield _request(NFT_MSG_DELCHAIN, chain.family, _named(chain.table, chain.name))


def set_policy(policy: Policy) -> Request:
    """Change the policy of a built-in chain; as with iptables -P, its counter begins anew."""
    verdict = {name: number for number, name in POLICIES.items()}[policy.verdict]
    body = (
        _named(policy.table, policy.chain)
        + attribute_be32(NFTA_CHAIN_POLICY, verdict)
        + attribute(NFTA_CHAIN_COUNTERS, NOTHING_COUNTED)
    )
    return _request(NFT_MSG_NEWCHAIN, policy.family, body)


def new_rule(rule: Rule) -> Request:
    """Add a rule at its place.

    Raises:
        NotInVocabulary: iptables has to write it.
    """
    encoded = encode(rule)
    compat = attribute_be32(NFTA_RULE_COMPAT_PROTO, encoded.protocol)
    compat += attribute_be32(NFTA_RULE_COMPAT_FLAGS, 0)
    body = (
        attribute(NFTA_RULE_TABLE, rule.table)
        + attribute(NFTA_RULE_CHAIN, rule.chain)
        + attribute(NFTA_RULE_EXPRESSIONS, encoded.expressions)
        + attribute(NFTA_RULE_COMPAT, compat)
    )
    append = NLM_F_APPEND if rule.place is Position.TAIL else 0
    return _request(NFT_MSG_NEWRULE, rule.family, body, NLM_F_CREATE | append)


def drop_rule(rule: Rule, handle: int) -> Request:
    """Delete the rule with that handle."""
    body = (
        attribute(NFTA_RULE_TABLE, rule.table)
        + attribute(NFTA_RULE_CHAIN, rule.chain)
        + attribute(NFTA_RULE_HANDLE, handle.to_bytes(8, "big"))
    )
    return _request(NFT_MSG_DELRULE, rule.family, body)


def _named(table: str, chain: str) -> bytes:
    return attribute(NFTA_CHAIN_TABLE, table) + attribute(NFTA_CHAIN_NAME, chain)


def _request(kind: int, family: Family, body: bytes, flags: int = 0) -> Request:
    return request(NFNL_SUBSYS_NFTABLES, kind, FAMILY[family], body, flags=flags)
