"""A change that is written to the store's file before it is known whether it shall count.

While plumb waits for its agent it writes into an open transaction what the operation changes, and
only commits when the agent has answered. Who reads sees nothing of it before, and a process that is
killed has not written it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable


class Ahead:
    """The transaction of one connection, which holds the turn of those who change the root.

    Args:
        db: the connection.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db, self._number = db, 0

    def write(self, number: int, work: Callable[[], None]) -> None:
        """Begin the transaction, and write; where SQLite refuses, nobody has tried.

        Args:
            number: the journal's of the operation.
            work: the writing.
        """
        try:
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("BEGIN IMMEDIATE")
            work()
        except sqlite3.Error:
            self.rollback()
        else:
            self._number = number

    def commit(self, number: int) -> bool:
        """Make it count, on the disk; False where the operation of that number is not written."""
        try:
            if self._number != number:
                return False
            self._db.execute("COMMIT")
        except sqlite3.Error:
            return False
        finally:
            self.rollback()
        return True

    def rollback(self) -> None:
        """Undo what is written and does not count."""
        self._number = 0
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        self._db.execute("PRAGMA synchronous = NORMAL")
