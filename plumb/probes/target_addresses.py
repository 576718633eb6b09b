"""Addresses of a target: all of a container's, and those of the host that the source can reach."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from plumb.address import IPAddress
from plumb.engine.targets import ResolvedTarget, TargetResolver, without_address
from plumb.kernel.net.neighbours import own_addresses
from plumb.kernel.netns.namespaces import entered
from plumb.model.net.targets import Published, Target
from plumb.model.observations import HOST, Netns
from plumb.probes.probe_spec import ProbeSpec

LOOPBACK: dict[int, IPAddress] = {4: ip_address("127.0.0.1"), 6: ip_address("::1")}


def probe_specs(
    resolver: TargetResolver, source: Netns, files: str, target: Target, versions: tuple[int, ...]
) -> list[ProbeSpec]:
    """A probe to each address of a target.

    Args:
        files: the folder with the source's resolv.conf and hosts file.
        versions: the address families that may be taken, the preferred first.

    Raises:
        Conflict, NotFound: the target cannot be resolved.
        Invalid: it has no address.
    """
    found = resolver.resolve(target.name, source, files, versions)
    addresses = _addresses(resolver, source, found, versions)
    if not addresses:
        raise without_address(found.name, versions[0] if len(versions) == 1 else 0)
    return [_spec(resolver, source, found, address, target) for address in addresses]


def _addresses(
    resolver: TargetResolver, source: Netns, found: ResolvedTarget, versions: tuple[int, ...]
) -> Sequence[IPAddress]:
    if found.place is None:
        return found.addresses
    if found.place.name == HOST:
        return _of_host(resolver, source, versions)
    member = next((each for each in resolver.members if each.place == found.place), None)
    if member is None or not member.ends:
        with entered(found.place.ns):
            known = [ip.ip for _, ip in own_addresses()]
    else:
        known = [ip.ip for end, _ in member.ends for ip in end.ips]
    return [ip for version in versions for ip in known if ip.version == version]


def _of_host(resolver: TargetResolver, source: Netns, versions: tuple[int, ...]) -> list[IPAddress]:
    """The host's addresses at which a namespace may reach it.

    Those of the networks that they share, and those of the host's links outside plumb's networks.
    """
    shared = {
        net.link for member in resolver.members if member.place == source for _, net in member.ends
    }
    bridges = {net.link for net in resolver.networks if net.bridge_in_host}
    found = [ip.ip for dev, ip in own_addresses() if dev in shared or dev not in bridges]
    if source.ns == "":
        found = [*LOOPBACK.values(), *found]
    return [ip for version in versions for ip in found if ip.version == version]


def _spec(
    resolver: TargetResolver,
    source: Netns,
    found: ResolvedTarget,
    address: IPAddress,
    target: Target,
) -> ProbeSpec:
    of_host = address in [ip.ip for _, ip in own_addresses()] or (
        address.is_loopback and source.ns == ""
    )
    destination = resolver.destination(
        address, target.port, target.protocol, of_host=of_host, named=found.place
    )
    place, local_address, local_port = destination.place, address, target.port
    if destination.published is not None:
        local_address, local_port = _behind(destination.published)
    elif of_host:
        place = Netns(HOST, "")
    elif address.is_loopback:
        place = source
    return ProbeSpec(
        source,
        found.name,
        address,
        target.protocol,
        target.port,
        place,
        local_address if place else None,
        local_port,
    )


def _behind(port: Published) -> tuple[IPAddress, int]:
    """A published port's own address and port in its container."""
    return port.end.target(port.port), port.port.port
