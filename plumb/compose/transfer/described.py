"""Networks and containers of a host as a project: the inverse of `compose.options`.

A project of a compose file says what is asked for. What plumb has chosen, as a subnet from the
pools or an address from a subnet, is left out or, where it is to be kept, written down.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from plumb.compose import labels
from plumb.compose.project import ComposeNetwork, ComposeService, Joined, Project, Subnet
from plumb.drivers import driver_of
from plumb.frozen import frozen, replace
from plumb.model import ipam
from plumb.model.cnm import DEFAULT_NETWORK, Attachment, Endpoint, Network, Pairs, Pool, Sandbox
from plumb.model.lifecycle import log_drivers
from plumb.model.net.gateways import GATEWAY_NETWORK
from plumb.model.settings import Settings


@frozen
class Present:
    """Networks and containers of a host, as they are.

    Attributes:
        networks: all; containers: all that no service of a cluster has made, by their numbers.
        endpoints: places of a container's in networks, by its id.
        settings: the host's.
    """

    networks: tuple[Network, ...]
    containers: tuple[Sandbox, ...]
    endpoints: Callable[[str], Sequence[Endpoint]]
    settings: Settings

    def network(self, reference: str) -> Network | None:
        """Return a network by its id or its name."""
        return next((net for net in self.networks if reference in (net.id, net.name)), None)


def is_users(net: Network) -> bool:
    """True if a user has made a network: no predefined one, nor one that plumb makes by itself."""
    return not (net.predefined or net.name == GATEWAY_NETWORK or net.overlay.ingress)


@frozen
class Description:
    """Description of a part of a host.

    Attributes:
        networks: those to describe; others that a container is on are external.
        containers: those to describe.
        chosen: whether subnets and addresses that plumb has chosen are written down.
    """

    present: Present
    networks: tuple[Network, ...]
    containers: tuple[Sandbox, ...]
    chosen: bool = False

    def project(self) -> tuple[Project, list[str]]:
        """Return the project, and a line for each thing that no compose file can say."""
        nets = self._on()
        keys = keys_of(nets)
        remarks: list[str] = []
        project = Project(
            "",
            services={box.name: self.service(box, keys, remarks) for box in self.containers},
            networks={keys[net.id]: self.network(net, keys[net.id]) for net in nets},
        )
        return project, remarks

    def _on(self) -> list[Network]:
        """Networks to describe, and then the others that containers are on."""
        joined = (
            self.present.network(wish.network)
            for box in self.containers
            if not _mode(box)
            for wish in box.attachments
        )
        return list({net.id: net for net in (*self.networks, *joined) if net}.values())

    def network(self, net: Network, key: str) -> ComposeNetwork:
        """Return a network of the host as one of a file."""
        if net not in self.networks:
            return ComposeNetwork(key, net.name, external=True)
        subnets = (_subnet(net, pool, self.chosen) for pool in net.pools)
        return ComposeNetwork(
            key,
            net.name,
            driver=net.driver,
            driver_opts=net.options,
            subnets=tuple(each for each in subnets if each is not None),
            internal=net.internal,
            attachable=net.attachable,
            enable_ipv4=None if net.ipv4 else False,
            enable_ipv6=net.ipv6 or None,
            labels=own_labels(net),
        )

    def service(self, box: Sandbox, keys: Mapping[str, str], remarks: list[str]) -> ComposeService:
        """Return a container of the host as a service of a file.

        Args:
            keys: keys of the networks in the file, by their ids.
            remarks: takes a line for each thing that no compose file can say.
        """
        mode = self._place(box)
        networks = () if mode else self._networks(box, keys)
        log_driver, log_opt = self._log(box)
        made = ComposeService(
            box.name,
            container_name=box.name,
            network_mode=mode,
            networks=networks,
            command=box.argv,
            ports=box.ports,
            expose=box.exposed,
            dns=box.dns,
            dns_search=box.dns_search,
            dns_opt=box.dns_options,
            extra_hosts=box.extra_hosts,
            hostname=box.hostname if box.owns_hostname else "",
            domainname=box.domainname,
            external_links=_links(box, mode, remarks),
            environment=box.environment,
            healthcheck=box.health,
            sysctls=box.sysctls,
            cap_add=box.cap_add,
            cap_drop=box.cap_drop,
            privileged=box.privileged,
            labels=own_labels(box),
            restart=str(box.restart),
            mac_address=box.mac,
            log_driver=log_driver,
            log_opt=log_opt,
            publish_all=box.publish_all,
            read_only_host=box.read_only_host,
            isolate=box.isolate,
            auto_remove=box.auto_remove,
        )
        command = box.command
        return replace(
            made,
            init=command.init,
            user=command.user,
            working_dir=command.working_dir,
            stop_signal=command.stop_signal,
            stop_timeout=command.stop_timeout,
        )

    def _place(self, box: Sandbox) -> str:
        """`network_mode` of a container; empty for one with networks."""
        if not box.target:
            return _mode(box)
        other = next((each for each in self.present.containers if each.id == box.target), None)
        kind = "service" if other in self.containers else "container"
        return f"{kind}:{other.name if other else box.target}"

    def _networks(self, box: Sandbox, keys: Mapping[str, str]) -> tuple[Joined, ...]:
        """Places in networks, in the order in which they are joined: by priority, then by name."""
        found = [
            Joined(keys[net.id], self._wish(box, net, wish))
            for wish in box.attachments
            if (net := self.present.network(wish.network)) is not None
        ]
        names = [each.network for each in found]
        if names == sorted(names):
            return tuple(found)
        return tuple(replace(each, priority=len(found) - at) for at, each in enumerate(found))

    def _wish(self, box: Sandbox, net: Network, wish: Attachment) -> Attachment:
        own = replace(wish, network=net.name, links=(), aliases=wish.aliases or None)
        ends = self.present.endpoints(box.id) if self.chosen else ()
        end = next((each for each in ends if each.network == net.id), None)
        if end is None or net.predefined:
            return own
        return replace(
            own, ip=own.ip or (end.ip and end.ip.ip), ip6=own.ip6 or (end.ip6 and end.ip6.ip)
        )

    def _log(self, box: Sandbox) -> tuple[str, tuple[str, ...]]:
        """Logging driver and its options; nothing where they are the host's usual ones."""
        settings = self.present.settings
        usual: dict[str, Any] = log_drivers.parsed("", (), settings.log_driver, settings.log_opts)
        plain = Sandbox("", "", **usual)
        if [box.log, box.log_size, box.log_files] == [plain.log, plain.log_size, plain.log_files]:
            return "", ()
        if box.log.driver != "json-file":
            return box.log.driver, tuple(f"{key}={value}" for key, value in box.log.options)
        size = log_drivers.size(box.log_size)
        return "json-file", (f"max-size={size}", f"max-file={box.log_files}")


def own_labels(of: Network | Sandbox) -> Pairs:
    """Labels without those of Compose, which say of what file something was made."""
    return tuple((key, text) for key, text in of.labels if not key.startswith(labels.PREFIX))


def keys_of(networks: Iterable[Network]) -> dict[str, str]:
    """Keys of networks in a compose file, by their ids: their names, in the letters that it has."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for net in networks:
        plain = re.sub(r"[^a-zA-Z0-9._-]", "_", net.name)
        key, number = plain, 2
        while key in taken:
            key, number = f"{plain}_{number}", number + 1
        found[net.id] = key
        taken.add(key)
    return found


def _mode(box: Sandbox) -> str:
    """`network_mode` of a container that has no networks of its own choice; empty for others."""
    if box.mode != "network":
        return box.mode
    alone = tuple(replace(wish, aliases=None) for wish in box.attachments)
    return DEFAULT_NETWORK if alone == (Attachment(DEFAULT_NETWORK),) else ""


def _links(box: Sandbox, mode: str, remarks: list[str]) -> Pairs:
    """Links of a container; a compose file has one list for all of its networks."""
    if mode:
        return box.links
    lists = {wish.links for wish in box.attachments if wish.network != DEFAULT_NETWORK}
    links: Pairs = next(iter(lists), ()) if len(lists) == 1 else ()
    if len(lists) > 1 or box.links:
        remarks.append(
            f"links of container {box.name} are left out: a compose file has the same for all "
            "networks of a service, and none for the default network beside others"
        )
    return links


def _subnet(net: Network, pool: Pool, chosen: bool) -> Subnet | None:
    if not (pool.given or chosen):
        return None
    gateway = "" if pool.gateway is None else str(pool.gateway)
    needed = net.multi_host or driver_of(net).needs_gateway(net, pool.subnet.version)
    if needed and not chosen and pool.gateway == ipam.lowest_free(pool, lambda ip: False):
        gateway = ""
    return Subnet(
        str(pool.subnet),
        "" if pool.range is None else str(pool.range),
        gateway,
        tuple((name, str(ip)) for name, ip in pool.aux),
    )
