"""Reader of plumb's record, without a lock and without the imports that changes need."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from plumb.engine import predefined
from plumb.engine.lookup import Lookup
from plumb.errors import PlumbError
from plumb.frozen import replace
from plumb.model import settings as settings_of
from plumb.model.cluster import NodeRole
from plumb.model.cnm import Endpoint, Network, Sandbox, Status
from plumb.model.paths import Layout
from plumb.model.settings import Settings
from plumb.store import Store
from plumb.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from plumb.engine.cluster.access import Cluster
    from plumb.things.sandbox import Process

REBOOTED = "this machine was booted again: what plumb made is gone from the kernel"
REBUILD = "'plumb repair' builds it anew, 'plumb reset' forgets it"


def forgotten(store: Store, boot: str) -> bool:
    """Test for things that were made in another boot than this one.

    Args:
        boot: the id of this boot, empty if it is not known.
    """
    return bool(boot) and store.meta("boot") not in ("", boot) and bool(store.things())


class Reader:
    """Read access to plumb's state under one root.

    Args:
        root: the folder of the state; None: PLUMB_ROOT, or /var/lib/plumb.
        settings: Docker's daemon.json keys and values, a `Settings`, or the path of such a file;
            None: PLUMB_CONFIG or /etc/plumb/config.json.
        cluster: another cluster than that of which this host is a node.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        *,
        settings: Settings | Mapping[str, Any] | str | Path | None = None,
        cluster: Cluster | None = None,
    ) -> None:
        self.layout = Layout.of(root)
        self._cluster = cluster
        self._given = settings
        self._store: Store | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the store; networks and containers stay."""
        if self._store is not None:
            self._store.close()
            self._store = None

    @cached_property
    def settings(self) -> Settings:
        """The host's settings."""
        if isinstance(self._given, Settings):
            return self._given
        if isinstance(self._given, Mapping):
            return settings_of.from_mapping(self._given)
        return settings_of.load(str(self._given) if self._given else None)

    @cached_property
    def cluster(self) -> Cluster:
        """The cluster that this host is a node of."""
        if self._cluster is not None:
            return self._cluster
        if not os.path.exists(self.layout.membership):
            from plumb.engine.cluster.access import NoCluster  # lazy: most readers need no cluster

            return NoCluster()
        from plumb.engine.cluster.client import ClusterClient  # lazy: few hosts are in one

        return ClusterClient(self.layout)

    @property
    def store(self) -> Store:
        """The store; a missing one reads as empty, and is not created."""
        if self._store is None:
            self._store = SqliteStore(self.layout)
        return self._store

    @property
    def _manages(self) -> bool:
        """True if this host is a manager of a cluster; without a cluster that costs nothing."""
        if self._cluster is None and not os.path.exists(self.layout.membership):
            return False
        node = self.cluster.node()
        return node is not None and node.role is NodeRole.MANAGER

    def elsewhere(self) -> Sequence[Network]:
        """List networks of the cluster without a part on this host; none on a worker.

        Raises:
            PlumbError: the cluster does not answer.
        """
        if not self._manages:
            return ()
        here = {net.id for net in self.networks()}
        return [net for net in self.cluster.networks() if net.id not in here]

    def networks(self) -> list[Network]:
        """List the networks that this host has; the predefined ones even before they are built."""
        known = self.store.all(Network)
        if known:
            return known
        default = (
            []
            if self.settings.bridge == "none"
            else [predefined.default_network(self.settings, self.layout)]
        )
        return [*predefined.others(self.layout), *default]

    def networks_of(self, box: Sandbox) -> dict[str, Network]:
        """Networks that a container is on, or will be when it runs, by id."""
        joined = [end.network for end in self.store.endpoints(sandbox=box.id)]
        ids = dict.fromkeys([*(each.network for each in box.attachments), *joined])
        found = (self.store.get(Network, ident) for ident in ids)
        return {net.id: net for net in found if net is not None}

    def containers(self) -> list[Sandbox]:
        """List the containers, running or not."""
        return [box for box in self.store.all(Sandbox) if not box.role]

    def balancers(self) -> list[Sandbox]:
        """List plumb's own sandboxes, the balancers of networks of the cluster."""
        return [box for box in self.store.all(Sandbox) if box.role]

    def network(self, reference: str | Network) -> Network:
        """Return a network by id, name or prefix, or the current state of a `Network`.

        Raises:
            NotFound: no network matches.
        """
        name = _reference(reference, "network")
        for net in self.networks():
            if net.predefined and name in (net.id, net.name):
                return net
        local = Lookup(self.store)
        return local.find(Network, name) or self._find_in_cluster(name) or local.the_network(name)

    def _find_in_cluster(self, reference: str) -> Network | None:
        """Find a network of the cluster; None on a worker.

        Raises:
            PlumbError: the cluster does not answer: nobody can say that there is none.
        """
        return self.cluster.network(reference) if self._manages else None

    def container(self, reference: str | Sandbox) -> Sandbox:
        """Return a container by id, name or prefix, or the current state of a `Sandbox`.

        Raises:
            NotFound: no container matches.
        """
        return Lookup(self.store).the_sandbox(_reference(reference, "container"))

    def endpoints(self, of: Network | Sandbox) -> list[Endpoint]:
        """Return the endpoints of a network, or of a running container."""
        return (
            self.store.endpoints(network=of.id)
            if isinstance(of, Network)
            else self.store.endpoints(sandbox=of.id)
        )

    @property
    def agent_lost(self) -> bool:
        """State of the agent: True if the record has one that no longer runs.

        Names do not resolve and proxied ports do not work until plumb starts another.
        """
        if not self.store.owners(("agent", self.layout.run)):
            return False
        from plumb.kernel.process import start_time

        return not start_time.signed(self.layout.agent)[0]

    @property
    def rebooted(self) -> bool:
        """State of the machine: True if it was booted again since the record was written.

        The kernel has then forgotten all networks and namespaces.
        """
        from plumb.kernel.boot import boot_id

        return forgotten(self.store, boot_id())

    def health(self, boxes: Iterable[Sandbox]) -> dict[str, dict[str, Any]]:
        """Read what health checks have found, by the container's id; as Docker's .State.Health."""
        checked = {box.id: self.layout.container(box.id) for box in boxes if box.health.command}
        if not checked:
            return {}
        from plumb.kernel.process import health

        return health.states(self.layout.run, checked)

    def namespace(self, box: Sandbox) -> str:
        """Return the file of a container's network namespace, "" for the host's own."""
        return self.layout.place(box)

    def command(
        self,
        box: Sandbox,
        argv: Sequence[str],
        *,
        privileged: bool = False,
        environment: Sequence[str] = (),
        user: str = "",
        working_dir: str = "",
    ) -> Process:
        """A command in a running container, for `commands.join` and `Foreground.run`.

        Args:
            user, working_dir: other ones than the container's.
        """
        from plumb.drivers import sandbox
        from plumb.engine.containers import refuse_undoing

        if box.status is not Status.RUNNING:
            raise PlumbError(f"container {box.id} is not running", f"plumb start {box.name}")
        refuse_undoing(box, privileged=privileged)
        wish = replace(
            box,
            argv=tuple(argv),
            privileged=box.privileged or privileged,
            environment=(*box.environment, *environment),
            command=replace(
                box.command,
                user=user or box.command.user,
                working_dir=working_dir or box.command.working_dir,
            ),
        )
        return next(sandbox.process(wish, self.namespace(box), self.layout, ""))


def _reference(value: Any, what: str) -> str:
    if isinstance(value, str):
        return value
    from plumb.model.keywords.values import reference  # lazy: a command line has names alone

    return reference(value, what)
