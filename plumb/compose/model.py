"""The model of a project: its files interpolated, extended, with what they include, and merged."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache

from plumb.compose.reading import dotenv, extending, including, text_file
from plumb.compose.reading.document import Node, Place, read
from plumb.compose.reading.fields import Remarks
from plumb.compose.reading.including import Inclusion
from plumb.compose.reading.interpolate import tree
from plumb.compose.reading.merge import merged, without_reset
from plumb.errors import Invalid, NotFound

MOST_INCLUDED = 500
"""Files that a project includes at most: one that includes another twice, and so on, doubles."""


class Models:
    """Models of files, those that they include among them.

    Attributes:
        unset: names of the variables that are used and not set, in their order.
        remarks: what of included files is without effect, a line each.
        documents: all that were read, those of files that are included or extended from too;
            interpolated, neither extended nor merged.
    """

    def __init__(self) -> None:
        self.unset: dict[str, None] = {}
        self.remarks: Remarks = []
        self.documents: list[Node] = []
        self._included = 0

    def model(
        self,
        documents: Iterable[Node],
        folder: str,
        variables: Mapping[str, str],
        above: tuple[str, ...],
    ) -> Node:
        """Merge documents into one.

        Args:
            folder: the project's, which paths of included files are relative to.
            variables: for interpolation.
            above: the files of the documents, and those that include them.

        Raises:
            NotFound: a file that one names is not there.
            Invalid: a file makes no sense.
        """

        def interpolated(node: Node) -> Node:
            self.documents.append(tree(node, variables, self.unset.setdefault))
            return self.documents[-1]

        @cache
        def other(path: str) -> Sequence[Node]:
            return [interpolated(each) for each in documents_of(path)]

        def included(wanted: Inclusion) -> Node:
            return self._inclusion(wanted, variables, above)

        model = Node(Place(above[0], 1), {})
        for each in documents:
            whole = extending.extended(interpolated(each), other, folder)
            model = merged(model, including.included(whole, folder, included))
        return without_reset(model)

    def _inclusion(
        self, wanted: Inclusion, variables: Mapping[str, str], above: tuple[str, ...]
    ) -> Node:
        """Merge the files of an inclusion; their own variables give way to the project's."""
        self._included += len(wanted.files)
        if self._included > MOST_INCLUDED:
            raise wanted.node.refused(f"more than {MOST_INCLUDED} files are included")
        for path in wanted.files:
            if path in above:
                raise wanted.node.refused(f"files include each other in a circle: {path}")
        own: dict[str, str] = {}
        for path in wanted.env_files:
            own.update(dotenv.read(path, {**own, **variables}))
        try:
            documents = [each for path in wanted.files for each in documents_of(path)]
        except NotFound as error:
            raise wanted.node.refused(str(error)) from None
        known = {**own, **variables}
        model = self.model(documents, wanted.folder, known, (*wanted.files, *above))
        return including.resolved(model, known, self.remarks)


def documents_of(path: str, shown: str = "") -> Iterator[Node]:
    """Read a file's documents.

    Args:
        shown: its name for messages; by default its path.

    Raises:
        NotFound, Invalid: it is not there, cannot be read, or holds something else.
    """
    try:
        found = read(text_file.regular(path), shown or _shown(path))
    except FileNotFoundError:
        raise NotFound(f"compose file {path} not found") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", "") or error
        raise Invalid(f"compose file {shown or path} cannot be read: {why}") from None
    for each in found:
        yield Node(each.place, each.mapping)


def _shown(path: str) -> str:
    """A path for messages: relative where that is shorter."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative
