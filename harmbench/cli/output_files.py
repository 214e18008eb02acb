"""Check and write output files that the user names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from harmbench.errors import UserError

_PICTURES = (".png", ".pdf", ".svg")


def check_picture(output: Path, noun: str) -> None:
    """Check the path of a picture before anything is computed.

    Parameters
    ----------
    output
        The file.
    noun
        Word for the picture in messages, such as `"figure"`.

    Raises
    ------
    UserError
        If the ending is not supported, or the folder does not exist.
    """
    if output.suffix.lower() not in _PICTURES:
        raise UserError(f"'{output}' is no name for a {noun}: it must end in .png, .pdf or .svg")
    if not output.absolute().parent.is_dir():
        raise UserError(f"no folder '{output.parent}' to write the {noun} to")


@contextlib.contextmanager
def written(output: Path) -> Iterator[None]:
    """Turn an `OSError` of a block that writes a file into a `UserError`."""
    try:
        yield
    except OSError as error:
        raise UserError(f"'{output}' cannot be written: {error.strerror}") from None
