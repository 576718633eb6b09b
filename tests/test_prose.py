"""Prose of the code: docstrings that begin with a noun or a verb, and the field's words in names.

Parts that were written before these rules are listed in prose_exceptions.txt, a qualified name on
each line, with the metaphor behind it where one is meant. The list may only shrink: a new offender
fails, and so does an exception that nothing needs any more. `python -m tests.test_prose` prints
the list as the code stands.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests import REPOSITORY

EXCEPTIONS = REPOSITORY / "tests/prose_exceptions.txt"
FORBIDDEN_FIRST = re.compile(
    """
      who|whom|whose|what|whatever|whether|how|why|where|when|which|while           # clause words
    | as|if|unless|until|because|though|that|so|than|and|but|or|nor|not|also|only
    | this|these|those|it|its|he|his|she|her|they|their|we|our|you|your|i           # pronouns
    | one|all|each|every|everyone|everything|somebody|something|nobody|nothing|none|there
    | of|by|for|from|with|without|in|into|on|at|behind|under|over|like              # prepositions
    """,
    re.VERBOSE,
)
METAPHORS = {
    "wall": "what blocks: a chain, a rule",
    "hole": "a gap; a race",
    "ear": "a listener",
    "vessel": "a buffer; a pipe",
    "nursery": "a forkserver",
    "cradle": "a fake host",
    "errand": "a request; a command",
    "ground": "a topology",
    "oracle": "a route lookup",
    "landscape": "an inventory",
    "cable": "a veth pair",
    "storey": "a layer",
    "door": "the only place that ...",
}
"""Words that stand for something which networking, or programming, has a name for."""
METAPHORS_IN_NAMES = METAPHORS | {"told": "text, reply", "seen": "observed, a set's content"}
Definition = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def definitions(path: Path) -> Iterator[tuple[str, Definition]]:
    """A file's module, classes and functions with their qualified names."""
    module = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)

    def below(node: ast.AST, name: str) -> Iterator[tuple[str, Definition]]:
        for child in ast.iter_child_nodes(node):
            inner = name
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                inner = f"{name}.{child.name}"
                yield inner, child
            yield from below(child, inner)

    tree = ast.parse(path.read_text())
    yield module.removesuffix(".__init__"), tree
    yield from below(tree, module.removesuffix(".__init__"))


@cache
def everything() -> list[tuple[str, Definition]]:
    """Definitions of the whole package."""
    files = sorted((REPOSITORY / "plumb").rglob("*.py"))
    return [definition for path in files for definition in definitions(path)]


def first_word(docstring: str) -> str:
    """A docstring's first word, small and without its punctuation."""
    return docstring.split()[0].strip("`*.,:;()'\"").lower()


@cache
def badly_begun() -> set[str]:
    """Qualified names of definitions whose docstrings begin with a word that is not allowed."""
    return {
        name
        for name, node in everything()
        if (docstring := ast.get_docstring(node))
        and FORBIDDEN_FIRST.fullmatch(first_word(docstring))
    }


def words(identifier: str) -> set[str]:
    """The words of an identifier, small and in the singular: {"lan", "wall"} for LanWalls."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)
    return {part.lower().removesuffix("s") for part in parts}


def names_in(node: Definition) -> Iterator[str]:
    """The name of a definition and those that it binds itself: parameters, locals and fields."""
    if not isinstance(node, ast.Module):
        yield node.name
    queue: list[ast.AST] = list(ast.iter_child_nodes(node))
    while queue:
        child = queue.pop()
        if isinstance(child, ast.arg):
            yield child.arg
        elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            yield child.id
        elif isinstance(child, ast.Attribute) and isinstance(child.ctx, ast.Store):
            yield child.attr
        if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            queue.extend(ast.iter_child_nodes(child))


def metaphors_of(node: Definition) -> set[str]:
    """The metaphors in a definition's names and in its docstring."""
    in_names = {word for name in names_in(node) for word in words(name)}
    in_prose = {word.removesuffix("s") for word in re.findall(r"[a-z]+", _prose(node).lower())}
    return in_names & METAPHORS_IN_NAMES.keys() | in_prose & METAPHORS.keys()


def _prose(node: Definition) -> str:
    return ast.get_docstring(node) or ""


@cache
def metaphors() -> set[str]:
    """Each metaphor, behind the qualified name of the definition that uses it."""
    return {
        f"{name} {word}"
        for name, node in everything()
        if ".uapi." not in name  # the kernel's own names: IPS_SEEN_REPLY
        for word in metaphors_of(node)
    }


def excepted(*, of_metaphors: bool) -> set[str]:
    """One of the two kinds of lines in the list of exceptions."""
    return {
        line
        for line in EXCEPTIONS.read_text().split("\n")
        if line and (" " in line) == of_metaphors
    }


def test_a_docstring_begins_with_a_noun_or_a_verb() -> None:
    assert sorted(badly_begun() - excepted(of_metaphors=False)) == []


def test_the_field_s_word_stands_where_there_is_one() -> None:
    assert sorted(metaphors() - excepted(of_metaphors=True)) == []


def test_the_list_of_exceptions_shrinks() -> None:
    listed = excepted(of_metaphors=False) | excepted(of_metaphors=True)
    assert sorted(listed - badly_begun() - metaphors()) == []


def test_what_is_not_allowed_is_found() -> None:
    source = 'class Wall:\n    """Who blocks through a door."""\n    seen: int = 0\n'
    node = ast.parse(source).body[0]
    assert isinstance(node, ast.ClassDef)
    assert FORBIDDEN_FIRST.fullmatch(first_word(_prose(node)))
    assert metaphors_of(node) == {"wall", "door", "seen"}


if __name__ == "__main__":
    print("\n".join(sorted(badly_begun() | metaphors())))
