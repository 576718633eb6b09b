"""The messages that change plumb's own nftables tables: one transaction, without libnftables.

libnftables reads a chain in order to find a rule's handle, 8 µs a rule, and all of a table's rules
to insert one before another; and closing its context waits for the kernel. Here a chain is dumped,
and the rule is found by its bytes; the kernel inserts before a handle by itself. What this
vocabulary lacks (maps, their elements, a rule in words that only nft knows), libnftables writes.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import replace

from plumb.kernel.netfilter.nf_tables import handles
from plumb.kernel.netfilter.nf_tables.dump import ChainDump, dump_rules, generation
from plumb.kernel.netfilter.nf_tables.encode import NFPROTO, encode
from plumb.kernel.netfilter.nf_tables.expressions import NotInVocabulary
from plumb.kernel.netlink.codec import Request, attribute, attribute_be32
from plumb.kernel.netlink.nfnetlink import Netfilter, request
from plumb.kernel.netlink.uapi.linux_netfilter import (
    NF_ACCEPT,
    NF_DROP,
    NF_INET_FORWARD,
    NF_INET_LOCAL_IN,
    NF_INET_LOCAL_OUT,
    NF_INET_POST_ROUTING,
    NF_INET_PRE_ROUTING,
    NFNL_SUBSYS_NFTABLES,
    NFT_MSG_DELCHAIN,
    NFT_MSG_DELRULE,
    NFT_MSG_DELTABLE,
    NFT_MSG_NEWCHAIN,
    NFT_MSG_NEWRULE,
    NFT_MSG_NEWTABLE,
    NFTA_CHAIN_HOOK,
    NFTA_CHAIN_NAME,
    NFTA_CHAIN_POLICY,
    NFTA_CHAIN_TABLE,
    NFTA_CHAIN_TYPE,
    NFTA_HOOK_HOOKNUM,
    NFTA_HOOK_PRIORITY,
    NFTA_RULE_CHAIN,
    NFTA_RULE_EXPRESSIONS,
    NFTA_RULE_HANDLE,
    NFTA_RULE_POSITION,
    NFTA_RULE_TABLE,
    NFTA_RULE_USERDATA,
    NFTA_TABLE_FLAGS,
    NFTA_TABLE_NAME,
)
from plumb.kernel.netlink.uapi.linux_netlink import NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL
from plumb.plan import Step
from plumb.things import Key
from plumb.things.iptables import Position
from plumb.things.nftables import NftChain, NftFamily, NftRule, NftTable

ATTEMPTS = 8
"""How often a transaction is composed anew because somebody else changed the rules meanwhile."""
HOOKS = {
    "prerouting": NF_INET_PRE_ROUTING,
    "input": NF_INET_LOCAL_IN,
    "forward": NF_INET_FORWARD,
    "output": NF_INET_LOCAL_OUT,
    "postrouting": NF_INET_POST_ROUTING,
}
POLICIES = {"drop": NF_DROP, "accept": NF_ACCEPT}


def transact(steps: Sequence[Step]) -> None:
    """Take all steps, or none, in the calling thread's namespace.

    Raises:
        NotInVocabulary: libnftables has to take one of the steps, or to tell how one can be taken.
        OSError: the kernel refused one, or has no nf_tables.
    """
    for step in steps:
        _require_known(step)
    with Netfilter() as netfilter:
        for attempt in range(ATTEMPTS):
            composed = _Composition(netfilter)
            try:
                requests = composed.requests(steps)
                netfilter.transact(requests, composed.generation)
            except OSError as error:
                stale = error.errno == errno.ENOENT and composed.remembered
                if (error.errno != errno.ERESTART and not stale) or attempt == ATTEMPTS - 1:
                    raise
                if stale:
                    handles.forget()
            else:
                return


def _require_known(step: Step) -> None:
    """Check that a step is in the vocabulary, before anything is asked of the kernel."""
    match step.thing:
        case NftRule() as rule:
            encode(rule)
        case NftTable() | NftChain() if step.before is None or step.after is None:
            pass
        case _:
            raise NotInVocabulary(str(step))


class _Composition:
    """Steps as messages, composed against the rules that are there.

    Args:
        netfilter: a connection in the namespace.

    Attributes:
        generation: the number of the ruleset that was read, 0 if none had to be.
        remembered: a handle was known from before, and may be gone.
    """

    def __init__(self, netfilter: Netfilter) -> None:
        self.generation = 0
        self.remembered = False
        self._netfilter = netfilter
        self._chains: dict[Key, ChainDump] = {}
        self._deleted: set[tuple[Key, int]] = set()
        self._tables: dict[tuple[NftFamily, str], handles.Table | None] = {}

    def requests(self, steps: Sequence[Step]) -> list[Request]:
        """Compose the messages.

        Raises:
            NotInVocabulary: a rule to delete is not there by these expressions.
        """
        parts: list[list[Request]] = []
        # The rules that are added, each with the messages that add others right before it.
        new: dict[Key, list[Request]] = {}
        for step in steps:
            thing = step.thing
            if not isinstance(thing, NftRule):
                parts.append([_changed(thing, adding=step.after is not None)])
                continue
            if step.after is None:
                if thing.key in new:
                    new.pop(thing.key).pop()
                else:
                    parts.append([_deleted(thing, self._taken(thing))])
                continue
            behind = replace(thing, spec=thing.before)
            if thing.before and behind.key in new:
                new[behind.key].insert(-1, _added(thing))
                continue
            handle = self._lasting(behind) if thing.before else None
            parts.append([_added(thing, handle or 0)])
            if handle is None:
                new[thing.key] = parts[-1]
        return [message for part in parts for message in part]

    def _taken(self, rule: NftRule) -> int:
        """The handle of the first such rule that has not been deleted yet."""
        handle = self._handle(rule)
        if handle is None:
            raise NotInVocabulary(rule.spec)
        self._deleted.add((rule.key[:-1], handle))
        return handle

    def _lasting(self, rule: NftRule) -> int | None:
        """The handle of a rule that others go before, without a dump where it is known."""
        table = self._table(rule)
        if table is None:
            return self._handle(rule)
        handle = handles.known(table, rule.chain, rule.spec)
        if handle is not None and (rule.key[:-1], handle) not in self._deleted:
            self.remembered = True
            return handle
        handle = self._handle(rule)
        if handle is not None:
            handles.remember(table, rule.chain, rule.spec, handle)
        return handle

    def _table(self, rule: NftRule) -> handles.Table | None:
        where = rule.family, rule.table
        if where not in self._tables:
            self._read()
            self._tables[where] = handles.table_identity(
                self._netfilter, NFPROTO[rule.family], rule.table
            )
        return self._tables[where]

    def _handle(self, rule: NftRule) -> int | None:
        chain = rule.key[:-1]
        if chain not in self._chains:
            self._read()
            found = dump_rules(self._netfilter, NFPROTO[rule.family], rule.table, rule.chain)
            self._chains[chain] = ChainDump(found)
        found_handles = self._chains[chain].handles(*encode(rule))
        return next((each for each in found_handles if (chain, each) not in self._deleted), None)

    def _read(self) -> None:
        """Have what is read from here on hold until the transaction."""
        self.generation = self.generation or generation(self._netfilter)


# -- messages -----------------------------------------------------------------


def _changed(thing: object, *, adding: bool) -> Request:
    """Make a table or a chain, which must not be there, or delete it."""
    flags = NLM_F_CREATE | NLM_F_EXCL if adding else 0
    match thing:
        case NftTable():
            body = attribute(NFTA_TABLE_NAME, thing.name)
            kind = NFT_MSG_NEWTABLE if adding else NFT_MSG_DELTABLE
            return _request(
                kind, thing.family, body + attribute_be32(NFTA_TABLE_FLAGS, 0) * adding, flags
            )
        case NftChain():
            body = attribute(NFTA_CHAIN_TABLE, thing.table)
            body += attribute(NFTA_CHAIN_NAME, thing.name)
            kind = NFT_MSG_NEWCHAIN if adding else NFT_MSG_DELCHAIN
            return _request(
                kind, thing.family, body + (_hooked(thing) if adding and thing.hook else b""), flags
            )
    raise NotInVocabulary(str(thing))


def _hooked(chain: NftChain) -> bytes:
    hook = attribute_be32(NFTA_HOOK_HOOKNUM, HOOKS[chain.hook])
    hook += attribute_be32(NFTA_HOOK_PRIORITY, chain.priority & 0xFFFFFFFF)
    return (
        attribute(NFTA_CHAIN_HOOK, hook)
        + attribute_be32(NFTA_CHAIN_POLICY, POLICIES[chain.policy])
        + attribute(NFTA_CHAIN_TYPE, chain.type)
    )


def _added(rule: NftRule, before: int = 0) -> Request:
    """Add a rule at its place, or before the one with that handle."""
    encoded = encode(rule)
    body = _named(rule) + attribute(NFTA_RULE_EXPRESSIONS, encoded.expressions)
    if encoded.userdata:
        body += attribute(NFTA_RULE_USERDATA, encoded.userdata)
    flags = NLM_F_CREATE
    if before:
        body += attribute(NFTA_RULE_POSITION, before.to_bytes(8, "big"))
    elif rule.place is Position.TAIL:
        flags |= NLM_F_APPEND
    return _request(NFT_MSG_NEWRULE, rule.family, body, flags)


def _deleted(rule: NftRule, handle: int) -> Request:
    body = _named(rule) + attribute(NFTA_RULE_HANDLE, handle.to_bytes(8, "big"))
    return _request(NFT_MSG_DELRULE, rule.family, body)


def _named(rule: NftRule) -> bytes:
    return attribute(NFTA_RULE_TABLE, rule.table) + attribute(NFTA_RULE_CHAIN, rule.chain)


def _request(kind: int, family: NftFamily, body: bytes, flags: int = 0) -> Request:
    return request(NFNL_SUBSYS_NFTABLES, kind, NFPROTO[family], body, flags=flags)
