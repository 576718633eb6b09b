"""libnftables, the library behind the nft command (libnftables(3)), bound by ctypes.

It takes commands in nft's language, or the same as JSON (libnftables-json(5)), and makes one
transaction of all that is in one call: the kernel takes it whole or not at all. plumb binds the
documented C functions, and no more.

A context holds a netlink socket, which belongs to the namespace where it was made; so a thread that
has moved to another namespace gets another context, and so does a fork, which would share the
socket. Within a namespace plumb keeps the context: to close such a socket waits until the kernel
has disposed of all that was deleted (10 to 20 ms), and further calls do not. A context keeps its
namespace in being, until the thread runs a command in another one.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import re
import stat
import threading
from contextlib import suppress
from ctypes import c_bool, c_char_p, c_int, c_uint, c_uint32, c_void_p
from functools import lru_cache
from typing import Any

from plumb.errors import KernelRefused, Unsupported
from plumb.kernel.features.table import FEATURES
from plumb.kernel.netlink.connection import Connection
from plumb.kernel.netlink.uapi.linux_netlink import NETLINK_NETFILTER
from plumb.kernel.netns.setns import SELF

LIBRARY = "libnftables.so.1"
HANDLES, JSON, TERSE = 1 << 3, 1 << 4, 1 << 11
"""Output flags of nftables/libnftables.h.

They print each object's handle (the kernel's number for it), JSON, and sets without their elements.
"""
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
"""Names that nft's language has. The kernel takes others, which nft takes for words of its own."""
FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "nft_ctx_new": (c_void_p, [c_uint32]),
    "nft_ctx_free": (None, [c_void_p]),
    "nft_ctx_set_dry_run": (None, [c_void_p, c_bool]),
    "nft_ctx_output_set_flags": (None, [c_void_p, c_uint]),
    "nft_ctx_buffer_output": (c_int, [c_void_p]),
    "nft_ctx_get_output_buffer": (c_char_p, [c_void_p]),
    "nft_ctx_buffer_error": (c_int, [c_void_p]),
    "nft_ctx_get_error_buffer": (c_char_p, [c_void_p]),
    "nft_run_cmd_from_buffer": (c_int, [c_void_p, c_char_p]),
}


class Nft:
    """libnftables for the calling thread's namespace.

    Args:
        library: name of the shared object.

    Raises:
        Unsupported: it is not installed, or cannot speak JSON.
    """

    def __init__(self, library: str = LIBRARY) -> None:
        try:
            self._library = ctypes.CDLL(library)
        except OSError as error:
            raise Unsupported(
                "firewall-backend is nftables, but libnftables is not installed",
                "install it (Debian: apt install libnftables1), "
                "or set firewall-backend to iptables",
            ) from error
        for name, (result, arguments) in FUNCTIONS.items():
            function = getattr(self._library, name)
            function.restype, function.argtypes = result, arguments
        self._lock = threading.RLock()
        self._context: int | None = None
        self._place: tuple[int, int, int] | None = None
        self.version = self._version()

    def _version(self) -> str:
        try:
            return str(
                json.loads(self.run("list tables", "ask nf_tables for its tables"))["nftables"][0][
                    "metainfo"
                ]["version"]
            )
        except KernelRefused as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT):
                raise
            raise Unsupported(
                f"firewall-backend is nftables, but this kernel has no nf_tables ({error})",
                f"{FEATURES['nf_tables'].remedy}, or set firewall-backend to iptables",
            ) from error
        except ValueError as error:
            raise Unsupported(
                "firewall-backend is nftables, but this libnftables was built without JSON",
                "install one with it (Debian: apt install libnftables1), "
                "or set firewall-backend to iptables",
            ) from error

    def run(
        self,
        commands: str | list[dict[str, Any]],
        doing: str,
        *,
        flags: int = JSON,
        dry: bool = False,
    ) -> str:
        """Run commands: one transaction, or one listing.

        Args:
            commands: nft's own language, or the list of commands of libnftables-json(5).
            doing: the purpose for the error, as in "write the nftables rules".
            flags: output flags.
            dry: True lets the kernel check the commands, and changes nothing.

        Returns:
            The output of nft.

        Raises:
            KernelRefused: the commands were refused as a whole.
        """
        text = (
            commands
            if isinstance(commands, str)
            else json.dumps({"nftables": commands}, separators=(",", ":"))
        )
        with self._lock:
            context, library = self._here(), self._library
            library.nft_ctx_set_dry_run(context, dry)
            library.nft_ctx_output_set_flags(context, flags)
            failed = library.nft_run_cmd_from_buffer(context, text.encode())
            said = library.nft_ctx_get_error_buffer(context).decode(errors="replace")
            found: str = library.nft_ctx_get_output_buffer(context).decode(errors="replace")
        if failed:
            raise refusal(doing, said)
        return found

    def _here(self) -> int:
        """The context of this process for the namespace that the thread is in."""
        namespace = os.stat(SELF)
        place = (os.getpid(), namespace.st_dev, namespace.st_ino)
        if self._context is None or self._place != place:
            if self._context is not None:
                self._library.nft_ctx_free(self._context)
            self._context, self._place = self._new(), place
        return self._context

    def _new(self) -> int:
        _netlink()
        before = _sockets()
        context: int | None = self._library.nft_ctx_new(0)
        if context is None:
            raise KernelRefused("open libnftables", errno.ENOMEM)
        for descriptor in _sockets() - before:
            # A command that inherited it would keep this namespace in being.
            os.set_inheritable(descriptor, False)
        self._library.nft_ctx_buffer_output(context)
        self._library.nft_ctx_buffer_error(context)
        return context


def _sockets() -> set[int]:
    """The descriptors of this process that are sockets."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # that of the folder itself is closed by now
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                found.add(int(name))
    return found


def _netlink() -> None:
    """Check that the kernel has NETLINK_NETFILTER: libnftables ends the process where it has not.

    Raises:
        Unsupported: the kernel has none.
    """
    try:
        Connection(NETLINK_NETFILTER).close()
    except OSError as error:
        raise Unsupported(
            "firewall-backend is nftables, but this kernel has no netfilter over netlink",
            f"{FEATURES['nf_tables'].remedy}, or set firewall-backend to iptables",
        ) from error


def refusal(doing: str, said: str) -> KernelRefused:
    """An error from nft's first message, which has the errno as strerror(3) prints it."""
    first = re.search(r"Error: (?:Could not process rule: )?(.*)", said)
    words = first[1] if first else " ".join(said.split())
    number = next((number for number in errno.errorcode if os.strerror(number) in words), 0)
    return KernelRefused(doing, number, words)


@lru_cache(maxsize=1)
def nft() -> Nft:
    """Open libnftables, once in a process."""
    return Nft()
