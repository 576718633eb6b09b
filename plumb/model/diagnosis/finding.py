"""Findings: faults that a check found in a snapshot."""

from __future__ import annotations

from enum import StrEnum

from plumb.frozen import frozen
from plumb.model.diagnosis.remedy import Advice


class Grade(StrEnum):
    """Certainty of a finding."""

    PROVEN = "proven"  # what was read can mean nothing else
    LIKELY = "likely"  # two things that were read contradict each other
    HINT = "hint"  # it is unusual, and may be meant


class Severity(StrEnum):
    """Weight of a finding: packets are lost, or may be."""

    PROBLEM = "problem"
    WARNING = "warning"


@frozen
class Finding:
    """A fault.

    Attributes:
        id: stable and short: "ip-forward-off"; it names the page's section as well.
        subject: what is at fault, in words; about: names of the containers and networks that it
            concerns, "host" for all.
        read: what was read, each with its source.
        why: two sentences: what happens, and for what reason.
        remedies: commands that mend it, the best first; a text is for somebody to type.
    """

    id: str
    grade: Grade
    severity: Severity
    subject: str
    about: tuple[str, ...]
    read: tuple[str, ...]
    why: str
    remedies: tuple[Advice, ...] = ()
