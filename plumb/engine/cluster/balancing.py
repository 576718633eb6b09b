"""Services on this host's networks, in its intent.

The managers tell a host all services of a network, whole, whenever one changes. The host adds what
is its own choice: the mark of a service's packets, and the means by which it balances.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from plumb.engine.desired_state import endpoint_owner, service_owner
from plumb.engine.operation import Operation
from plumb.errors import Unsupported
from plumb.frozen import replace
from plumb.kernel.system import System
from plumb.model.cnm import Network
from plumb.model.service.virtual import Balancing, Mechanism, Rules, VirtualService

FIRST_MARK = 256
"""Mark of the first service, as Docker counts."""
NEEDS_IPVS = "connections cannot be counted by rules of the firewall"


def apply(op: Operation, network: str, services: Sequence[VirtualService]) -> None:
    """Make a network's services on this host those of a listing.

    Args:
        network: its id; one that has no part on this host is passed over.
        services: all that there are on it.
    """
    keep(op, network, services)
    for one in services:
        put(op, one)


def keep(op: Operation, network: str, services: Sequence[VirtualService]) -> None:
    """Drop a network's services that are not among these."""
    wanted = {one.id for one in services}
    net = op.network(network)
    for one in op.services(network) if net is not None else ():
        if one.id not in wanted:
            op.drop(one)
            _touch_tasks(op, net, one)


def put(op: Operation, one: VirtualService) -> None:
    """Set a service on a network of this host, as the managers tell it."""
    net, known = op.network(one.network), op.service(one.id)
    if net is None:
        return
    mechanism = _mechanism(one.balancing, op.system.has_ipvs())
    by_rules = mechanism is Mechanism.RULES or net.overlay.direct_return
    backend, able = op.settings.firewall_backend, op.system.has_choice
    chosen = replace(
        one,
        mark=known.mark if known is not None else _free_mark(op),
        mechanism=mechanism,
        rules=_rules(one.balancing, backend, able) if by_rules else Rules.SETTING,
        listens_v6=op.system.listens_v6(),
    )
    if chosen != known:
        op.put(chosen)
        _touch_tasks(op, net, one)


def _mechanism(balancing: Balancing, has_ipvs: bool) -> Mechanism:
    """IPVS where there is one that can; none of its schedulers chooses at random."""
    return Mechanism.IPVS if has_ipvs and balancing is not Balancing.RANDOM else Mechanism.RULES


def _rules(balancing: Balancing, setting: str, able: Callable[[str, bool], bool]) -> Rules:
    """The setting's rules where the kernel has what they need, else the other back end's."""
    for found, backend in ((Rules.SETTING, setting), *OTHERS):
        if able(backend, balancing is Balancing.SH):
            return found
    return Rules.NONE


OTHERS = ((Rules.NFTABLES, "nftables"), (Rules.IPTABLES, "iptables"))


def require(balancing: Balancing, system: System) -> None:
    """Refuse a way of balancing that this host's kernel does not have.

    Raises:
        Unsupported: the kernel has nothing to do it by; the error says what to load.
    """
    if _mechanism(balancing, system.has_ipvs()) is Mechanism.IPVS:
        return
    if balancing is Balancing.LC:
        raise Unsupported(
            f"--lb-algorithm {balancing} needs IPVS, which this kernel does not have: {NEEDS_IPVS}",
            "rr, wrr, sh and random work without it; 'plumb env' tells what the kernel lacks",
        )
    if _rules(balancing, "iptables", system.has_choice) is Rules.NONE:
        needed = " ".join(MODULES[balancing is Balancing.SH])
        raise Unsupported(
            f"--lb-algorithm {balancing}: this kernel has neither IPVS nor rules that can choose",
            f"modprobe -a {needed} (one will do), or --endpoint-mode dnsrr without an ingress port",
        )


MODULES = {
    False: ("ip_vs_rr", "xt_statistic", "nft_numgen"),
    True: ("ip_vs_sh", "xt_HMARK", "nft_hash"),
}
"""Kernel modules that choose a task: by turns or by lot, and by the client's address."""


def _free_mark(op: Operation) -> int:
    """The mark after the highest one in use."""
    return max((one.mark for one in op.all(VirtualService)), default=FIRST_MARK - 1) + 1


def _touch_tasks(op: Operation, net: Network | None, one: VirtualService) -> None:
    """Have a service's tasks on this host narrated again, which have its address themselves."""
    if net is None or not net.overlay.direct_return:
        return
    for end in op.endpoints(network=net.id):
        box = op.sandbox(end.sandbox)
        if box is not None and box.task is not None and box.task.service == one.service:
            op.touch(endpoint_owner(end))


def touch(op: Operation, network: str) -> None:
    """Have a network's services narrated again: its balancer has come."""
    for one in op.services(network):
        op.touch(service_owner(one))


def forget(op: Operation, network: str) -> None:
    """Take a network's services out of the intent, as the network itself goes."""
    for one in op.services(network):
        op.drop(one)
