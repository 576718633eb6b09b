"""Reading of what a picture shows: the links of all namespaces on this host.

A namespace that ends while it is read, or that is not to be had, is one sentence in the picture.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from plumb.address import IPAddress
from plumb.draw.build import picture
from plumb.draw.outside import Beyond
from plumb.draw.picture import Picture
from plumb.engine.reader import Reader
from plumb.engine.targets import TargetResolver
from plumb.errors import PlumbError
from plumb.foreign import overlays, read_host
from plumb.frozen import collector_paused
from plumb.kernel.diagnosis import rule_sets
from plumb.kernel.net.inventory import LinkInventory
from plumb.kernel.net.namespace_state import NamespaceState
from plumb.kernel.netns.namespaces import entered
from plumb.model.cluster import balancer_sandbox
from plumb.model.observations import HOST, Netns
from plumb.trace import link_labels
from plumb.trace.link_labels import Spot
from plumb.trace.topology import Topology, TopologyReader


def read(reader: Reader) -> Picture:
    """Read this host.

    Args:
        reader: plumb's record.
    """
    with collector_paused():
        return picture(*observed(reader))


def observed(reader: Reader) -> tuple[Topology, Beyond]:
    """Read the links of all namespaces, and what lies outside of them."""
    own = [reader.namespace(box) for box in reader.containers()]
    resolver = TargetResolver(reader, read_host.read_all(known=[path for path in own if path]))
    resolver.networks = tuple(overlays.located(resolver.networks))
    missing = list(resolver.foreign.missing)
    opened = list(_opened(dict.fromkeys(_places(reader, resolver)), missing))
    topology = TopologyReader(resolver).of(opened)
    return topology, beyond(topology, missing)


def beyond(topology: Topology, missing: Iterable[str] = ()) -> Beyond:
    """Read what lies outside of namespaces: other hosts' VTEPs, and the host's NAT."""
    unread = list(missing)
    vteps: dict[Spot, tuple[IPAddress, ...]] = {}
    for place in topology.places:
        names = [link.name for link in topology.links[place.name] if link.kind == "vxlan"]
        if names:
            vteps.update(_vteps(place, names, unread))
    chains = tuple(rule_sets.chains(unread))
    return Beyond(vteps, chains, tuple(dict.fromkeys(unread)))


def _places(reader: Reader, resolver: TargetResolver) -> Iterator[Netns]:
    """Yield the host, containers' namespaces, and those of overlay networks."""
    yield Netns(HOST, "")
    for member in resolver.members:
        if member.place.ns:
            yield member.place
    for net in resolver.networks:
        if net.multi_host:
            own = balancer_sandbox(net.id, net.overlay.ingress)
            balancer = Netns(f"balancer {net.name}", reader.layout.namespace(own))
            # A network that no container of this host is on has none here.
            yield from (
                each for each in (link_labels.place_of(net), balancer) if os.path.exists(each.ns)
            )


def _opened(places: Iterable[Netns], missing: list[str]) -> Iterator[LinkInventory]:
    for place in places:
        try:
            yield LinkInventory(place)
        except (PlumbError, OSError) as error:
            missing.append(f"the namespace of {place.name}: {error}")


def _vteps(
    place: Netns, names: Iterable[str], missing: list[str]
) -> Iterator[tuple[Spot, tuple[IPAddress, ...]]]:
    try:
        with entered(place.ns), NamespaceState() as state:
            for name in names:
                vteps = set(state.fdb(name).values())
                yield (place.name, name), tuple(sorted(vteps, key=lambda ip: (ip.version, ip)))
    except (PlumbError, OSError) as error:
        missing.append(f"the forwarding table of {place.name}: {error}")
