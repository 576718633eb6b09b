"""Pages that say where something is: every path and every name that they give is there."""

from __future__ import annotations

import ast
import re
from itertools import chain
from pathlib import Path

import pytest

from tests import REPOSITORY

PAGES = sorted(
    [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")],
    key=lambda page: str(page.relative_to(REPOSITORY)),
)
REFERENCE = re.compile(r"(?<![\w/.-])((?:plumb|tests|docs)/[\w./-]*\w(?:/|\b))(?::([\w.,]*\w))?")
"""A file or folder of this repository, with names in it: `plumb/plan.py:plan,Step`."""
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[\w-]+)?\)")
"""A link from one page to another file."""


def defined(tree: ast.Module | ast.ClassDef) -> set[str]:
    """What a module or a class defines; `Class.method` for a class's own."""
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found.update(f"{node.name}.{name}" for name in defined(node))
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found.update(name.id for name in targets if isinstance(name, ast.Name))
    return found


def missing(path: str, names: str) -> list[str]:
    """What of a reference is not there."""
    file = REPOSITORY / path
    if not file.exists():
        return [path]
    if not names:
        return []
    there = defined(ast.parse(file.read_text()))
    return [f"{path}:{name}" for name in names.split(",") if name not in there]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_what_a_page_names_is_there(page: Path) -> None:
    """Files, folders, functions and classes of this repository."""
    references = REFERENCE.findall(page.read_text())
    assert not list(chain.from_iterable(missing(path, names) for path, names in references))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """A link is relative to the page that it stands on."""
    assert [
        link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()
    ] == []


def test_a_newcomers_questions_are_answered() -> None:
    """ARCHITECTURE.md says of at least twenty things where they are, each with a path."""
    page = (REPOSITORY / "ARCHITECTURE.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith(("| W", "| H", "| I"))]
    questions = [row for row in rows if "? |" in row]

    assert len(questions) >= 20
    assert [row for row in questions if not REFERENCE.search(row)] == []
