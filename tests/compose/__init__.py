"""Compose files: how they are read, and what becomes of them."""

from __future__ import annotations

from pathlib import Path

from plumb import Host
from plumb.compose import carry_out
from plumb.compose.carry_out import UpOptions
from plumb.compose.changes import Changes
from plumb.compose.files import Request
from plumb.compose.load import load
from plumb.compose.project import Project


def project(folder: Path, text: str, *, name: str = "shop", **variables: str) -> Project:
    """A project of one file with that text; the caller has these variables."""
    path = folder / "compose.yaml"
    path.write_text(text)
    return load(
        Request(files=(str(path),), name=name, environment=variables, working_dir=str(folder))
    )


def up(host: Host, wanted: Project, **asked: object) -> Changes:
    """Bring a project up; nothing is waited for."""
    return carry_out.up(host, wanted, UpOptions(**asked), awaits=False)  # type: ignore[arg-type]  # the keywords are its own
