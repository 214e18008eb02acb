"""What commands write to a file that the user names: checked before, and told if it cannot be."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from harmbench.errors import UserError

_PICTURES = (".png", ".pdf", ".svg")


def check_picture(output: Path, what: str) -> None:
    """Refuse a name that no picture can be written to, before anything is computed.

    Parameters
    ----------
    output
        The file.
    what
        What the picture is called, such as `"figure"`.

    Raises
    ------
    UserError
        If it ends otherwise, or its folder is not there.
    """
    if output.suffix.lower() not in _PICTURES:
        raise UserError(f"a {what} is written as .png, .pdf or .svg, not as '{output}'")
    if not output.absolute().parent.is_dir():
        raise UserError(f"no folder '{output.parent}' to write the {what} to")


@contextlib.contextmanager
def written(output: Path) -> Iterator[None]:
    """Say in one line that a file cannot be written, if it cannot.

    Raises
    ------
    UserError
        In the place of an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"'{output}' cannot be written: {error.strerror}") from None
