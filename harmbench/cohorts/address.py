"""Values of `--cohort`: the name of a source and its argument."""

from __future__ import annotations

from pathlib import Path

from harmbench.errors import UserError
from harmbench.preprocessing.file_names import refuse_dicom


def parse_cohort(text: str) -> tuple[str, str | None]:
    """Part `NAME`, `NAME:ARGUMENT` or `FILE.csv` into the name and the argument.

    Raises
    ------
    UserError
        If it is the path of something that no source reads, with what to do instead.

    Examples
    --------
    >>> parse_cohort("phantom:40"), parse_cohort("phantom"), parse_cohort("scans/all.csv")
    (('phantom', '40'), ('phantom', None), ('csv', 'scans/all.csv'))
    """
    name, _, argument = text.partition(":")
    if not argument:
        path = Path(text).expanduser()
        if path.suffix.lower() == ".csv":
            return "csv", text
        # Names hold no slash, but a folder here may have the name of a source.
        if "/" in text and path.exists():
            refuse_dicom(path)
            if path.is_dir():
                raise UserError(
                    f"say what kind of study the folder {text} is: --cohort bids:{text} with a "
                    f"--recipe (`harmbench data recipe {text}` drafts one)"
                )
            raise UserError(
                f"{text} is a single file; list scans in a FILE.csv of path, subject, session, "
                "domain, or put them into a BIDS folder"
            )
    return name, argument or None
