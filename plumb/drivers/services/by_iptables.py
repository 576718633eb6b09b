"""Balancing without IPVS, by iptables: a new connection gets a slot's mark, and DNAT by that.

    mangle PREROUTING     new, to the virtual address or a published port → PLUMB-VS-100
    mangle PLUMB-VS-100   mark = slot 0; every third connection: slot 1; every third: slot 2
    nat PREROUTING        a mark of service 0x100 → PLUMB-VS-100
    nat PLUMB-VS-100      slot 1 → DNAT to 10.50.0.4; slot 2 → …
    nat PREROUTING        any other mark of service 0x100, as slot 0's → DNAT to 10.50.0.3
    nat POSTROUTING       rewritten, to the network → the balancer's own address as source

Each connection passes all rules of mangle's chain, and the last one that fits has the say. So they
count alike whatever order they are in, and a task that comes in the place of another changes one
rule of nat's chain alone. Connection tracking keeps a connection with its task: a slot without
weight loses no connection that it has.

The two tables cannot change at once. In between, a connection with the mark of a slot that is not
there goes to the first one, and not to the balancer itself, which would refuse it.

At random, the k-th rule overrides those before it in one of k cases, which makes all slots equally
likely, and lets slots come and go at the end.
"""

from __future__ import annotations

from collections.abc import Iterator

from plumb.drivers.services.balancer import CHOSEN, MARKED, PUBLISHED, Served
from plumb.model.service.virtual import Balancing
from plumb.things import Thing
from plumb.things.iptables import Chain, Family, Rule

ICMP = {4: "icmp", 6: "ipv6-icmp"}
NEW = "-m conntrack --ctstate NEW"
SLOT_BITS = 16
STEP = 1 << 31
"""xt_statistic's probabilities are whole numbers of 1/2³¹."""
IN_TURN = "connections go to the slots in turn"
AT_RANDOM = "slots are equally likely: each takes its share from those before it"
BY_SOURCE = "a client's address chooses the slot, so that a client stays with one task"
REST = "the first slot; also in place of one that is gone before mangle's rules know it"
FIRST = "the first slot, unless another one is chosen"


def things(served: Served, chain: str = "PREROUTING") -> Iterator[Thing]:
    """Yield a service by rules.

    Args:
        chain: by which connections come to the rules; OUTPUT for those of the namespace itself.
    """
    tool, ns = Family.V4 if served.version == 4 else Family.V6, served.ns
    name = f"PLUMB-VS-{served.mark:X}"
    for table in ("mangle", "nat"):
        yield Chain(tool, table, name, ns=ns)
    for spec, why in _choice(served):
        yield Rule(tool, "mangle", name, spec, why=why, ns=ns)
    for number, ip in enumerate(served.slots[1:], 1):
        spec = f"-m mark --mark {slot(served, number):#x} -j DNAT --to-destination {ip}"
        yield Rule(tool, "nat", name, spec, why=CHOSEN, ns=ns)
    for port in served.ports:
        match = f"-p {port.protocol} -m {port.protocol} --dport {port.published} {NEW}"
        yield Rule(tool, "mangle", chain, f"{match} -j {name}", why=PUBLISHED, ns=ns)
    own = f"-d {served.vip}/{served.vip.max_prefixlen} ! -p {ICMP[served.version]} {NEW}"
    yield Rule(tool, "mangle", chain, f"{own} -j {name}", why=MARKED, ns=ns)
    ours = f"-m mark --mark {slot(served, 0):#x}/{0xFFFF << SLOT_BITS:#x}"
    yield Rule(tool, "nat", chain, f"{ours} -j {name}", why=CHOSEN, ns=ns)
    for ip in served.slots[:1]:
        spec = f"{ours} -j DNAT --to-destination {ip}"
        yield Rule(tool, "nat", chain, spec, why=REST, ns=ns)
    for subnet, source in served.returns():
        snat = f"-d {subnet} -m conntrack --ctstate DNAT -j SNAT --to-source {source}"
        yield Rule(tool, "nat", "POSTROUTING", snat, why=served.here.why, ns=ns)


def slot(served: Served, number: int) -> int:
    """Mark of a slot: the service's mark, and the slot's number below it."""
    return served.mark << SLOT_BITS | number


def _choice(served: Served) -> Iterator[tuple[str, str]]:
    """Yield the rules that choose a slot, each with its reason."""
    count = len(served.slots)
    if count and served.balancing is Balancing.SH:
        source = f"--hmark-src-prefix {served.vip.max_prefixlen} --hmark-rnd {served.seed:#010x}"
        slots = f"--hmark-mod {count} --hmark-offset {slot(served, 0)}"
        yield f"-j HMARK {source} {slots}", BY_SOURCE
        return
    for number in range(count):
        mark = f"-j MARK --set-xmark {slot(served, number):#x}/0xffffffff"
        if number == 0:
            yield mark, FIRST
        elif served.balancing is Balancing.RANDOM:
            share = f"{round(STEP / (number + 1)) / STEP:.11f}"
            yield f"-m statistic --mode random --probability {share} {mark}", AT_RANDOM
        else:
            turn = f"--every {count} --packet {number}"
            yield f"-m statistic --mode nth {turn} {mark}", IN_TURN
