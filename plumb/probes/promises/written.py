"""Promises that a user has written, as `x-plumb.expect` of a compose file, once they were tried."""

from __future__ import annotations

from plumb.frozen import frozen
from plumb.probes.promises.verdicts import Verdict


@frozen
class WrittenOutcome:
    """Outcome of a written promise.

    Attributes:
        project: the project whose file promises it; text: the promise as it was written.
        pairs: those for which it is not kept, or could not be tried, with the reason.
        reached: it promises that the one reaches the other.
    """

    project: str
    text: str
    verdict: Verdict
    pairs: tuple[str, ...] = ()
    reached: bool = True

    @property
    def kept(self) -> bool:
        """True if it was tried between all pairs, and is kept."""
        return self.verdict is Verdict.KEPT
