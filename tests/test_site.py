"""The documentation as a site: each page has its place, each link leads to a page and a heading."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from html import unescape
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from plumb.cli.reference.man_pages import contexts
from tests import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = sorted([*REPOSITORY.glob("*.md"), *DOCS.rglob("*.md")])
TO_HEADING = re.compile(r"\]\(([^)#:\s]*)#([\w-]+)\)")
HEADING = re.compile(r"^#+ +(.*?) *(?:\{#[\w-]+\})?$", re.MULTILINE)
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LOADED = re.compile(
    r"<(?:script|img|link|iframe|source)\b[^>]*?\b(?:src|href)=\"?([^\"\s>]+)[^>]*>"
)
LEADS = re.compile(r"<a\b[^>]*?\bhref=\"?([^\"\s>]+)")
PLACED = re.compile(r"\bid=\"?([^\"\s>]+)")


@cache
def headings(page: Path) -> frozenset[str]:
    """Anchors of a page's headings, as GitHub and MkDocs make them."""
    found = HEADING.findall(CODE.sub("", page.read_text()))
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", each) for each in found)
    return frozenset(
        re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", each.lower()).strip()) for each in plain
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_to_headings_that_are_there(page: Path) -> None:
    """On the same page, or on another one."""
    text = CODE.sub("", page.read_text())
    for path, anchor in TO_HEADING.findall(text):
        there = page.parent / path if path else page
        assert anchor in headings(there.resolve()), f"{path}#{anchor}"


def nav(part: object) -> Iterator[str]:
    """Pages of the site's navigation."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, list):
        for each in part:
            yield from nav(each)
    elif isinstance(part, dict):
        yield from nav(list(part.values()))


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    """The hook that makes pages."""
    spec = importlib.util.spec_from_file_location("pages", DOCS / "site/pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_page_has_a_place_in_the_navigation(pages: ModuleType) -> None:
    """Once; decisions are reached by their own list."""
    found = Counter(nav(yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text())["nav"]))
    made = {*pages.ROOT_PAGES.values(), *pages.generated_places()} - {"adr/index.md"}
    assert found == Counter({*(page.name for page in DOCS.glob("*.md")), *made})


def test_the_reference_has_every_command(pages: ModuleType) -> None:
    text = pages.generated()["reference/commands.md"]
    for context in contexts():
        assert f"\n## {context.command_path}\n" in text
    assert "::: plumb.engine.host.Host\n" in pages.generated()["reference/library.md"]


@pytest.mark.parametrize(
    ("link", "path", "place", "there"),
    [
        ("docs/pictures/a.svg", "README.md", "index.md", "pictures/a.svg"),
        ("docs/trace.md#x", "README.md", "index.md", "trace.md#x"),
        ("../SECURITY.md", "docs/trace.md", "trace.md", "security.md"),
        ("../../SECURITY.md", "docs/adr/0001.md", "adr/0001.md", "../security.md"),
        ("0001.md", "docs/adr/README.md", "adr/index.md", "0001.md"),
        ("examples", "docs/pytest.md", "pytest.md", ""),
    ],
)
def test_a_link_is_written_as_the_site_has_it(
    pages: ModuleType, link: str, path: str, place: str, there: str
) -> None:
    image = "!" if link.endswith("svg") else ""
    made = f"{image}[x]({there})" if there else "x"
    assert pages.relinked(f"{image}[x]({link})", path, place) == made


def test_the_site_is_built_and_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    """All that its pages load and lead to is in it."""
    if importlib.util.find_spec("mkdocs") is None:
        pytest.skip("there is no mkdocs: make site installs it")
    ran = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert ran.returncode == 0, ran.stderr
    texts = {page: page.read_text() for page in tmp_path.rglob("*.html")}
    placed = {page: set(map(unescape, PLACED.findall(text))) for page, text in texts.items()}
    for page, text in texts.items():
        if page.name == "404.html":
            continue
        for link in LOADED.findall(text):
            assert (page.parent / link.partition("?")[0]).exists(), (page, link)
        for link in LEADS.findall(text):
            path, _, anchor = unescape(link).partition("#")
            if ":" in path:
                continue
            there = (page.parent / path).resolve() if path else page
            assert there.exists(), (page, link)
            assert not anchor or anchor in placed[there], (page, link)
