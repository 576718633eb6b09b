"""The store: the intent, the things that may exist in the kernel because of it, and the journal.

`Store` is what the engine needs of one; `sqlite.SqliteStore` is the one that there is.

    sqlite          the store in an SQLite file
    sqlite_schema   its tables and their versions
    sqlite_change   a change written into them
    sqlite_ahead    a change written before it is known whether it counts
    reserve         the disk space that is kept for what frees some
    salvage         what can still be read of a damaged file, and what is wrong with it
    writers_lock    the turn of those who change a root
    change          an operation's change to the store, as a value and as the journal's text
    codec           frozen values as JSON
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, TypeVar

from plumb.address import IPAddress, IPNetwork
from plumb.model.cluster import RemoteEndpoint
from plumb.model.cnm import Endpoint, Network, Sandbox
from plumb.model.service.virtual import VirtualService

if TYPE_CHECKING:
    from plumb.store.change import Change, Unfinished
    from plumb.things import Key, Thing

T = TypeVar("T", Network, Sandbox, Endpoint, RemoteEndpoint, VirtualService)
CLAIM = "claim"
"""Remark with the token of the root's claim on its network namespace (`kernel.netns.claim`)."""


class Store(Protocol):
    """Record of one root.

    Readers see whole changes: all of an operation or nothing of it. A caller of `begin`, `prepare`,
    `rollback`, `finish`, `abandon`, `remark`, `begin_reset` or `empty` holds the lock.
    """

    @property
    def current(self) -> bool:
        """True while this is the store under the root; a reset takes it away."""

    def close(self) -> None:
        """Let go of it; what is on record stays."""

    def lock(self) -> AbstractContextManager[None]:
        """The writers' turn, for the length of a with block.

        Raises:
            Conflict: another process has held it for too long.
        """

    # -- the intent ---------------------------------------------------------------

    def get(self, kind: type[T], reference: str) -> T | None:
        """A network, sandbox or endpoint by its full id."""

    def named(self, kind: type[T], name: str) -> T | None:
        """A network or sandbox by its name."""

    def prefixed(self, kind: type[T], prefix: str) -> list[T]:
        """List those whose id begins with some hex digits."""

    def all(self, kind: type[T]) -> list[T]:
        """List all of a kind, in the order in which they were made."""

    def endpoints(self, *, network: str = "", sandbox: str = "") -> list[Endpoint]:
        """The endpoints of a network or of a sandbox, by its id, in the order of making."""

    def remotes(self, network: str) -> list[RemoteEndpoint]:
        """The endpoints of a network that are on other hosts, by its id, in the order of ids."""

    def services(self, network: str) -> list[VirtualService]:
        """The services on a network, by its id, in the order of ids."""

    def number(self, kind: type[T]) -> int:
        """The next number of a kind."""

    # -- addresses and ports ---------------------------------------------------------

    def taken(self, subnet: IPNetwork, ip: IPAddress) -> bool:
        """Tell whether an address of a subnet is handed out."""

    def holder(self, subnet: IPNetwork, ip: IPAddress) -> str:
        """The id of the network or endpoint that has it, or empty."""

    def count(self, subnet: IPNetwork, span: IPNetwork) -> int:
        """The number of addresses of a part of the subnet that are handed out."""

    def hint(self, subnet: IPNetwork, span: str) -> IPAddress | None:
        """An address below which none of a range is free; the range as text, "" for the subnet."""

    def ports(self, protocol: str, port: int) -> list[tuple[IPAddress, str]]:
        """The addresses on which a port of the host is published, each with the endpoint's id."""

    # -- what exists in the kernel ---------------------------------------------------

    def things(self, owner: str | None = None) -> list[Thing]:
        """The things on record, of one owner or of all, in the order in which they came to be."""

    def things_of_owners(self, owners: Sequence[str]) -> dict[str, list[Thing]]:
        """The things of each of these owners, in the order in which they came to be."""

    def things_of(self, *kinds: type[Thing]) -> list[Thing]:
        """The things of these kinds."""

    def things_under(self, *start: str) -> list[Thing]:
        """The things whose keys begin with these words."""

    def things_saying(self, *words: str) -> list[Thing]:
        """The things whose recorded texts have each of these words, one at least.

        Args:
            words: of ASCII letters, digits, "_" and ".".
        """

    def thing(self, key: Key) -> Thing | None:
        """The thing under a key."""

    def things_with(self, keys: Sequence[Key]) -> dict[Key, Thing]:
        """Things on record under these keys."""

    def previous(self, key: Key) -> Thing | None:
        """The state of a standing thing before plumb changed it."""

    def previous_of(self, keys: Sequence[Key]) -> dict[Key, Thing]:
        """The states of standing things before plumb changed them, of those that are known."""

    def owners(self, key: Key) -> list[str]:
        """The owners that need a thing."""

    def owners_of(self, keys: Sequence[Key]) -> dict[Key, list[str]]:
        """Owners that need each of these things."""

    # -- changes ---------------------------------------------------------------

    def begin(self, before: Iterable[Thing], after: Iterable[Thing], change: Change) -> int:
        """Write an operation into the journal before it is carried out.

        Args:
            before: the things concerned as they are.
            after: the same as they will be.
            change: the operation's change to the store.

        Returns:
            Its number in the journal.
        """

    def prepare(self, number: int, change: Change) -> None:
        """Write an operation's change, as long as others do the work, for `finish` to count it."""

    def rollback(self) -> None:
        """Undo what `prepare` has written: the operation has failed."""

    def finish(self, number: int, change: Change) -> None:
        """Make an operation's change count, and strike it from the journal, both or neither."""

    def abandon(self, number: int) -> None:
        """Strike an operation that was taken back from the journal."""

    def unfinished(self) -> list[Unfinished]:
        """The operations that are in the journal still, since whoever began them has died."""

    def meta(self, key: str) -> str:
        """A remark about the root, or empty."""

    def remark(self, key: str, value: str) -> None:
        """Write a remark about the root."""

    def begin_reset(self) -> None:
        """Write down that all is about to be taken away."""

    def empty(self) -> None:
        """Forget everything but the claim on the network namespace: all has been taken away."""
