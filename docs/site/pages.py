"""Pages of the site that are no files of docs/: a hook of MkDocs.

README.md is the site's first page. ARCHITECTURE.md and its like are pages too, with their links as
the site has them. The reference of commands is what --help prints; that of the library comes from
docstrings (mkdocstrings).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from posixpath import dirname, normpath, relpath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

REPOSITORY = Path(__file__).parents[2]
ROOT_PAGES = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "docs/adr/README.md": "adr/index.md",
}
"""Pages by their path in the repository, with their path in the site."""
LINK = re.compile(r"(!?)\[([^]]*)\]\(([^)#:\s]+)((?:#[\w-]+)?)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    from mkdocs.structure.files import File

    for path, place in ROOT_PAGES.items():
        text = (REPOSITORY / path).read_text(encoding="utf-8")
        files.append(File.generated(config, place, content=relinked(text, path, place)))
    for place, text in generated().items():
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to pages of the root into links to the site's."""
    if page.file.src_uri in (*ROOT_PAGES.values(), *generated_places()):
        return markdown
    return relinked(markdown, f"docs/{page.file.src_uri}", page.file.src_uri)


def relinked(text: str, path: str, place: str) -> str:
    """Write links as the site has them.

    Args:
        text: a page, whose links are relative to its path in the repository.
        path: that path; place: the page's path in the site.
    """

    def link(found: re.Match[str]) -> str:
        image, words, to, anchor = found.groups()
        to = normpath(f"{dirname(path)}/{to}" if dirname(path) else to)
        if not image and not to.endswith(".md"):
            return words  # a folder of the repository, which the site does not have
        there = ROOT_PAGES.get(to, to.removeprefix("docs/"))
        return f"{image}[{words}]({relpath(there, dirname(place) or '.')}{anchor})"

    return LINK.sub(link, text)


def generated_places() -> tuple[str, str]:
    """Paths of the pages that are made."""
    return "reference/commands.md", "reference/library.md"


def generated() -> dict[str, str]:
    """The pages that are made, by their path."""
    texts = ("\n".join(_commands()), "\n".join(_library()))
    return dict(zip(generated_places(), texts, strict=True))


def _commands() -> Iterator[str]:
    from plumb.cli.reference.man_pages import contexts

    yield "# Options of all commands\n\nWhat `--help` prints, of each verb.\n"
    for context in contexts():
        yield f"## {context.command_path}\n\n```text\n{context.get_help()}\n```\n"


def _library() -> Iterator[str]:
    import plumb

    yield "# Library\n\nThe public names of `plumb`.\n"
    for name in plumb.__all__:
        made = getattr(plumb, name)
        yield f"::: {made.__module__}.{made.__qualname__}\n"
