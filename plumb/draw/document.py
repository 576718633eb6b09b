"""A picture as JSON, and back.

A file may come from another host, or from somebody else: it is checked as a snapshot of doctor's.
Names that JSON has with control characters are read with U+FFFD in their place.
"""

from __future__ import annotations

import json

from plumb.doctor import document
from plumb.draw.picture import FORMAT, Picture
from plumb.errors import Invalid
from plumb.store import codec


def written(picture: Picture) -> str:
    """Write a picture as JSON text; fields with their usual value are left out."""
    return json.dumps({"format": FORMAT, **codec.plain(picture)}, indent=1)


def read(data: bytes, name: str) -> Picture:
    """Read a picture.

    Args:
        data: JSON text.
        name: the file's name, for errors.

    Raises:
        Invalid: it is no picture, or one of another version.
    """
    wrong = Invalid(
        f"{name} is no picture of version {FORMAT}", "'plumb draw --json > FILE' writes one"
    )
    if len(data) > document.LONGEST:
        raise wrong
    try:
        found = json.loads(data)
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise wrong
        return document.checked(Picture, found)
    except document.NONSENSE as error:
        raise wrong from error


def cleaned(picture: Picture) -> Picture:
    """A picture as it would be read again, to be compared with one that was."""
    return read(written(picture).encode(), "the picture")
