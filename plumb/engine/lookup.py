"""Lookup: networks, sandboxes and endpoints of the intent, by the names of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from plumb.address import IPAddress
from plumb.errors import Conflict, NotFound
from plumb.model.cluster import Encryption, RemoteEndpoint
from plumb.model.cnm import Endpoint, Network, Sandbox
from plumb.model.driver_traits import TRAITS, Traits
from plumb.model.service.virtual import VirtualService
from plumb.store import Store, T, codec
from plumb.store.change import TABLE_OF, Intent

if TYPE_CHECKING:
    from plumb.model.cnm import Ends


def _drivers() -> Mapping[str, Traits]:
    from plumb.drivers import DRIVERS  # lazy: listing networks needs no driver

    return DRIVERS


TRAITS.load = _drivers
ENCRYPTION = "encryption"
"""Remark with the keys for encrypted networks."""


class Lookup:
    """View of the intent in the store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def get(self, kind: type[T], ident: str) -> T | None:
        """Return a network, sandbox or endpoint by its full id."""
        return self.store.get(kind, ident)

    def named(self, kind: type[T], name: str) -> T | None:
        """Return a network or sandbox by its name."""
        return self.store.named(kind, name)

    def all(self, kind: type[T]) -> list[T]:
        """Return all objects of a kind."""
        return self.store.all(kind)

    def prefixed(self, prefix: str, kind: type[T]) -> list[T]:
        """Return the objects whose id begins with a prefix."""
        return self.store.prefixed(kind, prefix)

    def endpoints(self, *, network: str = "", sandbox: str = "") -> list[Endpoint]:
        """Return the endpoints of a network or of a sandbox."""
        return self.store.endpoints(network=network, sandbox=sandbox)

    def network(self, ident: str) -> Network | None:
        """Return a network by its id."""
        return self.get(Network, ident)

    def sandbox(self, ident: str) -> Sandbox | None:
        """Return a sandbox by its id."""
        return self.get(Sandbox, ident)

    def endpoint(self, ident: str) -> Endpoint | None:
        """Return an endpoint by its id."""
        return self.get(Endpoint, ident)

    def remote(self, ident: str) -> RemoteEndpoint | None:
        """Return an endpoint on another host by its id."""
        return self.get(RemoteEndpoint, ident)

    def remotes(self, network: str) -> list[RemoteEndpoint]:
        """Return the endpoints of a network that are on other hosts."""
        return self.store.remotes(network)

    def service(self, ident: str) -> VirtualService | None:
        """Return a service on a network by its id, SERVICE.NETWORK."""
        return self.get(VirtualService, ident)

    def services(self, network: str) -> list[VirtualService]:
        """Return the services on a network."""
        return self.store.services(network)

    def remarked(self, key: str) -> str:
        """Return a remark about the root, or empty."""
        return self.store.meta(key)

    def encryption(self) -> Encryption | None:
        """Return the keys for encrypted networks, None where the host has none."""
        text = self.remarked(ENCRYPTION)
        return codec.loads(Encryption, text) if text else None

    def encrypted_to(self, peer: IPAddress) -> Network | None:
        """Return an encrypted network that has an endpoint on another host, None without one."""
        for net in self.all(Network):
            if net.overlay.encrypted and any(end.vtep == peer for end in self.remotes(net.id)):
                return net
        return None

    def ends(self, box: Sandbox) -> Ends:
        """Return a sandbox's endpoints with their networks."""
        pairs = [(end, self.network(end.network)) for end in self.endpoints(sandbox=box.id)]
        return [(end, net) for end, net in pairs if net is not None]

    def find(self, kind: type[T], reference: str) -> T | None:
        """Find an object by full id, then by exact name, then by a unique prefix of its id.

        Raises:
            Conflict: several ids have the prefix.
        """
        if not reference:
            return None
        exact = (
            self.get(kind, reference)
            or self.named(kind, reference)
            or self.named(kind, reference.removeprefix("/"))
        )
        if exact is not None or not all(digit in "0123456789abcdef" for digit in reference):
            return exact
        matches = self.prefixed(reference, kind)
        if len(matches) > 1:
            raise Conflict(
                f"{kind.__name__.lower()} {reference} is ambiguous"
                f" ({len(matches)} matches found based on ID prefix)"
            )
        return matches[0] if matches else None

    def the_network(self, reference: str) -> Network:
        """Return a network by id, name or prefix.

        Raises:
            NotFound: no network matches.
        """
        found = self.find(Network, reference)
        if found is None:
            raise NotFound(
                f"network {reference} not found", "'plumb network ls' shows those that there are"
            )
        return found

    def the_sandbox(self, reference: str) -> Sandbox:
        """Return a container by id, name or prefix.

        Raises:
            NotFound: no container matches; a balancer is none.
        """
        found = self.find(Sandbox, reference)
        if found is None or found.role:
            raise NotFound(
                f"No such container: {reference}", "'plumb ps -a' shows those that there are"
            )
        return found


class ChangedIntent(Lookup):
    """View of the intent with the changes of an operation that is under way.

    What it has read it does not read again: the operation has the lock, so no other one changes it.

    Args:
        store: the intent as it was.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._cached: dict[str, Intent] = {}
        self._put: dict[str, Intent] = {}
        self._names: dict[tuple[type, str], str] = {}
        self._drop: dict[tuple[str, str], Intent] = {}
        self._ends: dict[str, dict[str, None]] = {}
        self._read: set[str] = set()  # networks and sandboxes whose endpoints were read
        self._absent: set[tuple[type, str]] = set()

    def get(self, kind: type[T], ident: str) -> T | None:
        """A network, sandbox or endpoint, here or elsewhere, by its full id."""
        if (TABLE_OF[kind], ident) in self._drop:
            return None
        known = self._put.get(ident) or self._cached.get(ident)
        if isinstance(known, kind):
            return known
        if (kind, ident) in self._absent:
            return None
        found = self._see(super().get(kind, ident))
        if found is None:
            self._absent.add((kind, ident))
        return found

    def _see(self, found: T | None) -> T | None:
        """Remember a value that was read."""
        if found is not None:
            self._cached[found.id] = found
        return found

    def named(self, kind: type[T], name: str) -> T | None:
        """A network or sandbox by its name."""
        if (kind, name) in self._names:
            return self.get(kind, self._names[kind, name])
        found = self._see(super().named(kind, name))
        if found is None:
            return None
        self._names[kind, name] = found.id
        return self.get(kind, found.id)

    def all(self, kind: type[T]) -> list[T]:
        """Objects of a kind, with this operation's changes."""
        stored = [now for old in super().all(kind) if (now := self.get(kind, old.id)) is not None]
        known = {value.id for value in stored}
        fresh = (value for value in self._put.values() if isinstance(value, kind))
        return stored + [value for value in fresh if value.id not in known]

    def prefixed(self, prefix: str, kind: type[T]) -> list[T]:
        """Objects whose id begins with a prefix, with this operation's changes."""
        idents = {old.id for old in super().prefixed(prefix, kind)} | {
            ident for ident in self._put if ident.startswith(prefix)
        }
        return [found for ident in idents if (found := self.get(kind, ident)) is not None]

    def endpoints(self, *, network: str = "", sandbox: str = "") -> list[Endpoint]:
        """The endpoints of a network or of a sandbox."""
        where = network or sandbox
        idents = self._ends.setdefault(where, {})
        if where not in self._read:
            self._read.add(where)
            stored = super().endpoints(network=network, sandbox=sandbox)
            self._cached.update((end.id, end) for end in stored)
            idents.update((end.id, None) for end in stored)
        found = [end for ident in idents if (end := self.endpoint(ident)) is not None]
        return sorted(found, key=lambda end: end.number)

    def remotes(self, network: str) -> list[RemoteEndpoint]:
        """The endpoints of a network that are on other hosts."""
        recorded = super().remotes(network)
        self._cached.update((end.id, end) for end in recorded)
        stored = [now for old in recorded if (now := self.remote(old.id))]
        known = {end.id for end in stored}
        fresh = (end for end in self._put.values() if isinstance(end, RemoteEndpoint))
        return stored + [end for end in fresh if end.network == network and end.id not in known]

    def services(self, network: str) -> list[VirtualService]:
        """The services on a network."""
        stored = [now for old in super().services(network) if (now := self.service(old.id))]
        known = {service.id for service in stored}
        fresh = (value for value in self._put.values() if isinstance(value, VirtualService))
        return stored + [one for one in fresh if one.network == network and one.id not in known]

    def fresh_endpoints(self) -> list[Endpoint]:
        """The endpoints that are new in this operation."""
        return [value for value in self._put.values() if isinstance(value, Endpoint)]
