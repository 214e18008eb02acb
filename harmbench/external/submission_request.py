"""A submission as the user names it: images that were harmonised elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harmbench.errors import UserError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, kw_only=True)
class SubmissionRequest:
    """The images of a submission, and their origin.

    Attributes
    ----------
    folder
        BIDS derivative, or CSV file with columns subject, session and path.
    name
        Name of the row on the board.
    author, date, reference
        Who made the images, when (`YYYY-MM-DD`), and the DOI or address of the method; each may
        be empty.

    Raises
    ------
    UserError
        If the name or the date has another form.
    """

    folder: Path
    name: str
    author: str = ""
    date: str = ""
    reference: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UserError(
                f"--name '{self.name}' must begin with a letter or digit, and consist of letters, "
                "digits and . _ + -"
            )
        if self.date and not _DATE.fullmatch(self.date):
            raise UserError(f"--date '{self.date}' has not the form YYYY-MM-DD")
