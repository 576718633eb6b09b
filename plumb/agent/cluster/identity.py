"""A node's own papers: in which cluster it is, its key, its certificate, its managers.

They lie below ROOT/cluster, for root only, and outlive a boot: with them a node comes back. What
is asked for while a node joins is written down last, so that half a joining is none.
"""

from __future__ import annotations

import os
import shutil

from plumb import root
from plumb.address import IPAddress
from plumb.agent.cluster.certificates import tls
from plumb.frozen import frozen
from plumb.kernel.cluster import places, secret_files
from plumb.model.cluster import DATA_PATH_PORT, JOIN_PORT, NodeRole
from plumb.model.paths import Layout
from plumb.store import codec


@frozen
class Membership:
    """Place of this node in a cluster.

    Attributes:
        node, swarm: ids.
        role: its part at present, as the managers have said.
        address: of the node, for other nodes.
        data_path: its end of VXLAN tunnels.
        port: TCP port at which a manager is reached by others (--advertise-addr IP:PORT).
        listen: address and port at which it waits as a manager (--listen-addr).
        managers: HOST:PORT of all managers that are known, this one's too.
        store: URLs of an existing etcd (--store); empty: managers have members of their own.
        tunnel_port: UDP port of VXLAN.
    """

    node: str
    swarm: str
    role: NodeRole
    address: IPAddress
    data_path: IPAddress
    port: int = JOIN_PORT
    listen: str = ""
    managers: tuple[str, ...] = ()
    store: tuple[str, ...] = ()
    tunnel_port: int = DATA_PATH_PORT

    @property
    def endpoint(self) -> str:
        """HOST:PORT of this node as a manager."""
        return tls.joined(str(self.address), self.port)


class Papers:
    """Files of this node.

    Args:
        layout: the root's.
    """

    def __init__(self, layout: Layout) -> None:
        self._membership = layout.membership
        self.kept, self.run = places.kept(layout), places.folder(layout)
        root.make_folder(self.kept, 0o700)
        root.make_folder(self.run, 0o700)

    def path(self, name: str) -> str:
        """The path of a file that outlives a boot."""
        return f"{self.kept}/{name}"

    @property
    def endpoints(self) -> str:
        """Path of the folder of the endpoints that this node publishes."""
        return f"{self.run}/{places.ENDPOINTS}"

    @property
    def certificate(self) -> str:
        """Path of the node's certificate, its key in the same file, so that they change as one."""
        return self.path("node.pem")

    def load(self) -> Membership | None:
        """Read where this node is a member; None where it is in no cluster."""
        text = secret_files.read(self._membership)
        return codec.loads(Membership, text.decode()) if text else None

    def save(self, membership: Membership) -> None:
        """Write it down."""
        secret_files.write(self._membership, codec.dumps(membership).encode())

    def write(self, name: str, text: str) -> str:
        """Write a file; its path."""
        secret_files.write(self.path(name), text.encode())
        return self.path(name)

    def read(self, name: str) -> str:
        """Read a file, empty if it is not there."""
        return (secret_files.read(self.path(name)) or b"").decode()

    def remove(self, name: str) -> None:
        """Remove a file, which may not be there."""
        secret_files.remove(self.path(name))

    def erase(self) -> None:
        """Forget the cluster: keys, certificates, etcd's data. What says so goes first."""
        secret_files.remove(self._membership)
        for entry in os.scandir(self.kept):
            if entry.name not in places.OF_PROCESS:
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    secret_files.remove(entry.path)
