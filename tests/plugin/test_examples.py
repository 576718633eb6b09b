"""The manual's examples.

What docs/pytest.md and docs/examples say is run, as its readers would run it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import REPOSITORY
from tests.plugin.runs import Runs

pytest_plugins = ["pytester"]

PAGE = (REPOSITORY / "docs/pytest.md").read_text()
EXAMPLES = sorted((REPOSITORY / "docs/examples").glob("test_*.py"))
BLOCKS = re.findall(r"(?<=^```python\n).*?(?=^```$)", PAGE, re.MULTILINE | re.DOTALL)


def test_the_examples_pass(runs: Runs, pytester: pytest.Pytester) -> None:
    """The page's blocks of Python are tests, and pass.

    So do the suites, but for what this kernel lacks.
    """
    for number, block in enumerate(BLOCKS):
        (pytester.path / f"test_block{number}.py").write_text(block)
    for path in EXAMPLES:
        (pytester.path / path.name.replace("test_", "test_example_")).write_text(path.read_text())
    found = runs("", "-rs")
    came = found.parseoutcomes()

    assert not {"failed", "errors", "warnings"} & set(came), found.stdout.str()
    assert came["passed"] >= 15
    assert all("has no" in line for line in found.outlines if line.startswith("SKIPPED"))


def test_the_quick_start_is_the_first_example() -> None:
    """What the page begins with is a file that can be copied."""
    assert BLOCKS[0] in Path(REPOSITORY / "docs/examples/test_quick_start.py").read_text()


def test_the_page_has_every_option_and_mark() -> None:
    """Whatever the plugin adds to pytest is in its manual."""
    from plumb.pytest_plugin.hooks import MARKS

    source = (REPOSITORY / "plumb/pytest_plugin/hooks.py").read_text()
    assert all(option in PAGE for option in re.findall(r'"(--plumb-\w+)"', source))
    assert all(mark.partition("(")[0] in PAGE for mark in MARKS)
