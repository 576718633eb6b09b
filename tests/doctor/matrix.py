"""Confusion matrix of docs/doctor.md: faults that are injected against findings, by their grade.

`tests/doctor/test_faults.py` holds each row against what is found. `python -m tests.doctor.matrix`,
in namespaces of its own, prints the matrix as this machine has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from tempfile import NamedTemporaryFile

from plumb.kernel.features.detect import able
from plumb.lab.faults.fault import Fault
from plumb.model.diagnosis.finding import Finding, Grade
from tests import REPOSITORY, labs
from tests.doctor import faults
from tests.doctor.faults import FAULTS
from tests.labs import Lab, sh

Row = Mapping[Grade, tuple[str, ...]]
HEAD = ("| fault | proven | likely | a hint |", "|---|---|---|---|")
ROW = re.compile(r"^\| ([^|`]+?) \|([^|]*)\|([^|]*)\|([^|]*)\|$", re.MULTILINE)


def of(found: Sequence[Finding]) -> Row:
    """The row of what was found."""
    return {
        grade: tuple(sorted({each.id for each in found if each.grade is grade})) for grade in Grade
    }


@cache
def rows() -> Mapping[str, Row]:
    """The rows of the page, by the faults' titles."""
    page = (REPOSITORY / "docs/doctor.md").read_text()
    table = page.partition("\n".join(HEAD))[2].partition("\n\n")[0]
    return {
        title.strip(): {
            grade: tuple(re.findall(r"`([a-z0-9-]+)`", cell))
            for grade, cell in zip(Grade, cells, strict=True)
        }
        for title, *cells in ROW.findall(table)
    }


def line(title: str, row: Row) -> str:
    """A row as the page has it."""
    cells = [", ".join(f"`{each}`" for each in row[grade]) for grade in Grade]
    return f"| {title} | {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")


def main() -> None:
    """Inject each fault, and print its row; a fault that this kernel cannot have keeps its row."""
    print(*HEAD, sep="\n")
    with NamedTemporaryFile("w") as resolv, faults.scene() as lab:
        print(f"nameserver {labs.ROUTER}", file=resolv, flush=True)
        sh(f"mount --bind {resolv.name} /etc/resolv.conf")
        for fault in FAULTS:
            if all(able(need).able for need in fault.needs):
                faults.until(lab, lambda found: not found)
                faults.inject(lab, fault)
                name = fault.id
                found = faults.until(lab, lambda found: any(each.id == name for each in found))  # noqa: B023
                print(line(fault.title, of(found)), flush=True)
                mend(lab, fault, found)
            else:
                print(line(fault.title, {**of(()), fault.grade: (fault.id,)}), flush=True)


def mend(lab: Lab, fault: Fault, found: Sequence[Finding]) -> None:
    """Apply the fault's remedy, and tidy up."""
    for each in found:
        if each.id == fault.id:
            remedy = fault.remedy
            text = str(each.remedies[remedy]) if isinstance(remedy, int) else remedy
            faults.shell(lab, text)
            if not isinstance(remedy, int):
                break
    faults.shell(lab, fault.after or "true")


if __name__ == "__main__":
    main()
