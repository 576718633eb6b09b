"""Paths of plumb's files, all of them under one root (`root.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plumb import root as roots
from plumb.errors import Invalid
from plumb.frozen import frozen

if TYPE_CHECKING:
    from pathlib import Path

    from plumb.model.cnm import Sandbox

DEFAULT_ROOT = roots.DEFAULT_ROOT


@frozen
class Layout:
    """The paths under a root."""

    root: str

    @classmethod
    def of(cls, root: str | Path | None = None) -> Layout:
        """The layout of that root, of PLUMB_ROOT, or of the default one.

        Raises:
            Invalid: it is, or could have been written by, somebody else.
        """
        path = roots.named(str(root or ""))
        reason = roots.distrust(path)
        if reason:
            raise Invalid(
                f"the root {path} is not used, since {reason}",
                "a root belongs to the user who runs plumb, and only that user writes to it: run "
                "it as that user (sudo), change owner or mode, or name another root (PLUMB_ROOT)",
            )
        return cls(path)

    @property
    def run(self) -> str:
        """Directory of the files that a boot clears."""
        return roots.run(self.root)

    @property
    def database(self) -> str:
        """The store."""
        return f"{self.root}/plumb.db"

    @property
    def queue(self) -> str:
        """The file that waiting writers lock one after the other."""
        return f"{self.root}/queue"

    @property
    def reserve(self) -> str:
        """The file whose space is freed when the disk is full."""
        return f"{self.root}/reserve"

    @property
    def events(self) -> str:
        """The journal of events."""
        return f"{self.root}/events"

    @property
    def agent(self) -> str:
        """The pid file of the agent."""
        return f"{self.run}/agent.pid"

    @property
    def fixes(self) -> str:
        """The folder of what `doctor --fix` has done, to be taken back."""
        return f"{self.run}/fixes"

    @property
    def cluster_process(self) -> str:
        """The folder of the process by which the host is a node of a cluster: socket, logs."""
        return f"{self.run}/cluster"

    @property
    def namespaces(self) -> str:
        """The folder of namespace files."""
        return f"{self.run}/netns"

    @property
    def cluster(self) -> str:
        """The folder of a cluster's node: keys, certificates, etcd's data."""
        return f"{self.root}/cluster"

    @property
    def membership(self) -> str:
        """The file that says that this root is a node of a cluster, and of which."""
        return f"{self.cluster}/node.json"

    @property
    def containers(self) -> str:
        """The folder with a folder for each container."""
        return f"{self.root}/containers"

    def namespace(self, sandbox: str) -> str:
        """A sandbox's namespace file."""
        return f"{self.namespaces}/{sandbox[:12]}"

    def overlay(self, network: str) -> str:
        """The namespace file of a network of the cluster; Docker names it so as well."""
        return f"{self.namespaces}/1-{network[:10]}"

    def place(self, box: Sandbox) -> str:
        """The namespace that a sandbox's processes are in.

        Its own, another's that it shares, or "" for the host's.
        """
        return "" if box.mode == "host" else self.namespace(box.target or box.id)

    def container(self, sandbox: str) -> str:
        """The folder with a container's resolv.conf, hosts, hostname and output."""
        return f"{self.containers}/{sandbox}"
