"""Choice of a task: which one a service's connection went to, and by what.

Connection tracking of the balancer's namespace knows: the entry of the probe packet has the task's
address as the source of answers, whether rules of the firewall chose it or IPVS did. Only direct
return leaves no such entry, for it rewrites nothing; there the links that the packet crossed show.
What a task asks its own service under direct return is balanced in the task's own namespace.
"""

from __future__ import annotations

from plumb.address import IPAddress
from plumb.kernel.netfilter import conntrack_flush
from plumb.kernel.netns.namespaces import entered
from plumb.model.net.targets import Balanced
from plumb.model.netns_state import ConntrackEntry
from plumb.model.observations import Netns
from plumb.model.service.virtual import Backend, Balancing, Mechanism
from plumb.trace.headers import Direction
from plumb.trace.path import Rewritten, Story

WAYS = {
    Balancing.RR: "in turn",
    Balancing.WRR: "in turn, by weight",
    Balancing.LC: "the one with the fewest connections",
    Balancing.SH: "by the client's address",
    Balancing.RANDOM: "at random",
}


def choice(balanced: Balanced | None, story: Story) -> tuple[str, ...]:
    """Sentences about the task that the probe packet's connection was given to.

    Args:
        balanced: the service that the packet was for; None: it was for none.
    """
    if balanced is None or not balanced.one.backends:
        return ()
    place = story.source if _is_own(balanced, story.source) else balanced.place
    entry = _entry(balanced, story, place)
    task = _of_entry(balanced, entry) if entry is not None else _rewritten(balanced, story, place)
    sentences = [_means(balanced, place)]
    if task is not None:
        here = any(member.has(task.ip.ip) for member in balanced.tasks)
        where = "on this host" if here else "on another host"
        sentences.append(f"chosen: {task.name} at {task.ip.ip}, {where}")
    if entry is not None:
        about = f"{entry.way}; answers {entry.reply}"
        sentences.append(f"conntrack of {place.name}: {about}")
    return tuple(sentences)


def _is_own(balanced: Balanced, source: Netns) -> bool:
    """Test for a source that is a task of the service with the virtual address of its own."""
    ipvs = balanced.one.mechanism is Mechanism.IPVS
    direct = balanced.net.overlay.direct_return and ipvs
    return direct and any(member.place == source for member in balanced.tasks)


def _means(balanced: Balanced, place: Netns) -> str:
    """The service's way of balancing, and the weights of its tasks."""
    one = balanced.one
    ipvs = one.mechanism is Mechanism.IPVS and place == balanced.place
    by = "IPVS" if ipvs else "rules of the firewall"
    weights = ", ".join(f"{end.name} (weight {end.weight})" for end in one.backends)
    return (
        f"service {one.name}: {by} in {place.name}, mark {one.mark:#x},"
        f" {one.balancing}, {WAYS[one.balancing]}: {weights}"
    )


def _entry(balanced: Balanced, story: Story, place: Netns) -> ConntrackEntry | None:
    """The entry of the probe packet where it is balanced; None where it has not come there.

    A connection that was refused has none any more.
    """
    with entered(place.ns):
        flows = conntrack_flush.dump()
    return next(
        (
            flow
            for flow in flows
            if flow.is_of(story.flow.protocol, story.flow.version)
            and (flow.way.sport, flow.way.dport) == (story.flow.token, story.flow.port)
            and _of_entry(balanced, flow) is not None
        ),
        None,
    )


def _of_entry(balanced: Balanced, entry: ConntrackEntry) -> Backend | None:
    """The task that an entry's answers come from."""
    return next((end for end in balanced.one.backends if entry.reply.src in _ips(end)), None)


def _rewritten(balanced: Balanced, story: Story, place: Netns) -> Backend | None:
    """The task whose address was written into the packet where it is balanced."""
    now = [
        step.now.rpartition(":")[0].strip("[]")
        for step in story.ways[Direction.THERE]
        if isinstance(step, Rewritten) and step.place == place
    ]
    return next(
        (end for end in balanced.one.backends if {str(ip) for ip in _ips(end)} & set(now)), None
    )


def _ips(end: Backend) -> list[IPAddress]:
    return [ip.ip for ip in (end.ip, end.ip6) if ip is not None]
