"""Verbs: what can be done to networks and containers, each written once.

A `Host` does each as an operation of its own; a `Transaction` as part of the one that is under way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Unpack

from plumb.engine import attachments, container_links, containers, networks
from plumb.engine.operation import Operation
from plumb.errors import PlumbError, beginning
from plumb.model import keywords
from plumb.model.cnm import Attachment, Network, Sandbox, Status
from plumb.model.keywords import ContainerOptions, EndpointOptions, NetworkOptions
from plumb.model.keywords.values import reference, text


class Verbs(ABC):
    """The command line's verbs as methods.

    Networks and containers are named by id, name or prefix, or are given themselves.

    Raises:
        Invalid: an argument makes no sense; NotFound: there is no such network or container;
        Conflict, Exhausted: it cannot be had. Nothing has changed then.
    """

    @abstractmethod
    def _within(self) -> AbstractContextManager[Operation]:
        """The operation of a verb; one of its own is carried out when the with block ends."""

    # -- networks ---------------------------------------------------------------

    def create_network(self, name: str, **options: Unpack[NetworkOptions]) -> Network:
        """`network create`: the keywords are its flags, subnets and addresses as text.

        Raises:
            Invalid, Conflict, Exhausted: it cannot be had; nothing has changed.
        """
        with self._within() as op:
            return networks.create(op, text(name, "a network's name"), **keywords.network(options))

    def remove_network(self, network: str | Network) -> Network:
        """`network rm`."""
        with self._within() as op:
            return networks.remove(op, reference(network, "network"))

    def prune_networks(
        self,
        keep: Callable[[Network], bool] = lambda net: False,
        unseen: Callable[[PlumbError], None] = lambda error: None,
    ) -> list[Network]:
        """`network prune`.

        Args:
            keep: says of a network that nobody is on whether it stays.
            unseen: takes the error of a cluster that does not answer; its networks stay.
        """
        with self._within() as op:
            return networks.prune(op, keep, unseen)

    def connect(
        self,
        network: str | Network,
        container: str | Sandbox,
        wish: Attachment | None = None,
        **options: Unpack[EndpointOptions],
    ) -> Sandbox:
        """`network connect`.

        Args:
            wish: all that is asked of its place in the network, in place of the keywords.
        """
        with self._within() as op:
            net = reference(network, "network")
            asked = keywords.attachment(net, options)
            return attachments.connect(op, net, reference(container, "container"), wish or asked)

    def disconnect(
        self, network: str | Network, container: str | Sandbox, force: bool = False
    ) -> Sandbox:
        """`network disconnect`.

        Args:
            force: also from a network that is not there any more.
        """
        with self._within() as op:
            return attachments.disconnect(
                op, reference(network, "network"), reference(container, "container"), force
            )

    # -- containers ---------------------------------------------------------------

    def create(self, name: str = "", **options: Unpack[ContainerOptions]) -> Sandbox:
        """`create`: a container that is not started.

        Args:
            name: its name; one is made up where none is given.
        """
        with self._within() as op:
            return containers.create(op, _sandbox(op, name, options))

    def start(self, container: str | Sandbox) -> Sandbox:
        """`start`; one whose command has ended a moment ago, too."""
        name = reference(container, "container")
        with self._within() as op:
            if op.the_sandbox(name).status is Status.RUNNING:
                from plumb.engine.lifecycle import endings  # lazy: few commands need it

                endings.settled_before(op, name)
            return containers.start(op, name)

    def run(
        self, name: str = "", *, foreground: bool = False, **options: Unpack[ContainerOptions]
    ) -> Sandbox:
        """`run -d`: create and start.

        Args:
            name: its name; one is made up where none is given.
            foreground: the caller will run the command (see `Host.command`).
        """
        with self._within() as op:
            box = containers.create(op, _sandbox(op, name, options))
            return containers.start(op, box.id, foreground)

    def stop(
        self,
        container: str | Sandbox,
        exit_code: int | None = None,
        timeout: float | None = None,
        signal: str = "",
    ) -> Sandbox:
        """`stop`.

        Args:
            exit_code: of a command that has ended by itself; the restart policy decides then.
            timeout: seconds between the signal and SIGKILL; below 0, no SIGKILL; None: as the
                container was made, else ten.
            signal: its name or number; empty: as the container was made, else SIGTERM.
        """
        with self._within() as op:
            name = reference(container, "container")
            if exit_code is not None:
                from plumb.engine.lifecycle import endings  # lazy: few commands need it

                return endings.ended(op, name, exit_code)
            return containers.stop(op, name, timeout=timeout, stop_signal=signal)

    def restart(
        self, container: str | Sandbox, timeout: float | None = None, signal: str = ""
    ) -> Sandbox:
        """`restart`: its command ends and starts again, in a network namespace that is new.

        What was chosen by plumb may change, what was asked for stays.

        Args:
            timeout, signal: as of `stop`.
        """
        with self._within() as op:
            name = reference(container, "container")
            box = containers.stop(op, name, timeout=timeout, stop_signal=signal)
            with beginning(f"Cannot restart container {name}: "):
                return containers.start(op, box.id)

    def update(self, container: str | Sandbox, *, restart: str) -> Sandbox:
        """`update`: change a container's restart policy.

        Args:
            restart: no, always, unless-stopped or on-failure[:N].
        """
        from plumb.engine.lifecycle import endings  # lazy, as above
        from plumb.model.lifecycle import restart as restarts

        policy = restarts.policy(text(restart, "restart"))
        with self._within() as op:
            return endings.update(op, reference(container, "container"), policy)

    def rename(self, container: str | Sandbox, name: str) -> Sandbox:
        """`rename`."""
        from plumb.engine.lifecycle import signals  # lazy, as above

        with self._within() as op:
            return signals.rename(op, reference(container, "container"), text(name, "a name"))

    def remove(self, container: str | Sandbox, force: bool = False) -> Sandbox:
        """`rm`.

        Args:
            force: also one that runs.
        """
        with self._within() as op:
            return containers.remove(op, reference(container, "container"), force)

    def remove_link(self, link: str) -> None:
        """`rm --link`.

        Args:
            link: PARENT/ALIAS: the container that was run with --link, and its name for the other.
        """
        with self._within() as op:
            container_links.remove(op, text(link, "a link"))


def _sandbox(op: Operation, name: str, options: ContainerOptions) -> Sandbox:
    """A container as asked for; the settings tell the usual logging driver."""
    usual = op.settings
    return keywords.sandbox(name, options, usual.log_driver, usual.log_opts)


class Transaction(Verbs):
    """Verbs that are part of one operation, which is carried out when its with block ends."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation

    def _within(self) -> AbstractContextManager[Operation]:
        return nullcontext(self._operation)
