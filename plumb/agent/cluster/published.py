"""Endpoints of this node that other nodes shall know, as a file each.

The engine publishes an endpoint when it is built and withdraws it when it is taken away, whether
managers answer or not. The files outlive the process, so that one that was killed goes on with
what its predecessor had. After a boot none of the endpoints is there any more, and `plumb repair`
publishes those that it builds: so each file says in which boot it was written.
"""

from __future__ import annotations

import json
import os
import threading

from plumb import root
from plumb.errors import Invalid
from plumb.kernel.boot import boot_id
from plumb.kernel.cluster import secret_files
from plumb.model.cluster import RemoteEndpoint
from plumb.store import codec


class Published:
    """The endpoints that this node publishes.

    Args:
        folder: of the files.
    """

    def __init__(self, folder: str) -> None:
        root.make_folder(folder, 0o700)
        self._folder, self._lock, self._boot = folder, threading.Lock(), boot_id()
        self._known = {end.id: end for end in map(self._read, os.listdir(folder)) if end}

    def _read(self, name: str) -> RemoteEndpoint | None:
        path = f"{self._folder}/{name}"
        try:
            kept = json.loads(secret_files.read(path) or b"{}")
            if kept.get("boot") == self._boot:
                return codec.decode(RemoteEndpoint, kept["endpoint"])
        except (ValueError, KeyError, TypeError):  # a disk that was full, another version
            pass
        secret_files.remove(path)
        return None

    def all(self) -> tuple[RemoteEndpoint, ...]:
        """List them."""
        with self._lock:
            return tuple(self._known.values())

    def get(self, ident: str) -> RemoteEndpoint | None:
        """Return the endpoint of that id, None if it is not published."""
        return self._known.get(ident)

    def add(self, end: RemoteEndpoint) -> None:
        """Write down an endpoint, or what has changed of it."""
        kept = {"boot": self._boot, "endpoint": codec.plain(end)}
        path = self._path(end.id)
        with self._lock:
            if self._known.get(end.id) != end:
                root.make_folder(self._folder, 0o700)  # a node that has left has erased it
                secret_files.write(path, json.dumps(kept).encode())
                self._known[end.id] = end

    def remove(self, ident: str) -> None:
        """Forget an endpoint, which may not be known."""
        path = self._path(ident)
        with self._lock:
            if self._known.pop(ident, None) is not None:
                secret_files.remove(path)

    def clear(self) -> None:
        """Forget all."""
        for end in self.all():
            self.remove(end.id)

    def _path(self, ident: str) -> str:
        if not ident.isalnum() or not ident.isascii():
            raise Invalid(f"invalid endpoint id '{ident[:80]}'")
        return f"{self._folder}/{ident}"
