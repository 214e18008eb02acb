"""BibTeX entries of what a paper cites: methods, tasks, metrics, statistics and harmbench."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

HARMBENCH = "harmbench"
MAX_T = "westfall1993resampling"
LETTERS = "piepho2004algorithm"

_DOI = re.compile(r"10\.\d{4,9}/\S+")
_ARXIV = re.compile(r"arxiv[:./]\s*(?:org/)?(?:abs/)?(\d{4}\.\d{4,5})", re.IGNORECASE)


class Bibliography:
    """The entries that a text cites, in the order of their first use."""

    def __init__(self) -> None:
        self._entries: dict[str, str] = {}

    def key(self, reference: str) -> str:
        r"""Return the key of a reference, which is cited from now on.

        Parameters
        ----------
        reference
            DOI, arXiv number or address, or the key of an entry of `references.bib`. A reference
            that is not in that file becomes an entry with this identifier alone.

        Examples
        --------
        >>> bibliography = Bibliography()
        >>> bibliography.key("arXiv:2305.10732"), bibliography.key("https://doi.org/10.5555/a_b")
        ('jeong2023blindharmony', 'doi-10-5555-a-b')
        >>> print(bibliography.bibtex().strip().split("\n\n")[1])
        @misc{doi-10-5555-a-b,
          doi = {10.5555/a_b},
        }
        """
        shipped = _shipped()
        identifier = identifier_of(reference)
        key = next(
            (key for key, entry in shipped.items() if key == reference or identifier in entry), None
        )
        if key is None:
            key, entry = _own_entry(reference, identifier)
        else:
            entry = shipped[key]
        self._entries.setdefault(key, entry)
        return key

    def cite(self, references: Iterable[str]) -> str:
        r"""Return `\cite{...}` of references, with a space before it; empty without any."""
        keys = list(dict.fromkeys(self.key(reference) for reference in references if reference))
        return rf"~\cite{{{','.join(keys)}}}" if keys else ""

    def bibtex(self) -> str:
        """Return the entries."""
        return "\n\n".join(self._entries.values()) + "\n"


def identifier_of(reference: str) -> str:
    """Return the DOI or the arXiv number of a reference, or the reference itself.

    Examples
    --------
    >>> identifier_of("https://doi.org/10.1109/42.836373"), identifier_of("arXiv:2305.10732")
    ('{10.1109/42.836373}', '{2305.10732}')
    """
    if found := _DOI.search(reference):
        return f"{{{found.group()}}}"
    if found := _ARXIV.search(reference):
        return f"{{{found.group(1)}}}"
    return f"{{{reference}}}"


def short(reference: str) -> str:
    """Write a reference as short as possible, for tables.

    Examples
    --------
    >>> short("https://doi.org/10.1109/42.836373"), short("arXiv:2305.10732")
    ('doi:10.1109/42.836373', 'arXiv:2305.10732')
    """
    found = _DOI.search(reference)
    return f"doi:{found.group()}" if found else reference


def _own_entry(reference: str, identifier: str) -> tuple[str, str]:
    """Return key and entry of a reference that is not in `references.bib`."""
    bare = identifier[1:-1]
    field = "doi" if _DOI.search(reference) else "eprint" if _ARXIV.search(reference) else "note"
    prefix = {"doi": "doi", "eprint": "arxiv", "note": "reference"}[field]
    key = f"{prefix}-{re.sub(r'[^a-z0-9]+', '-', bare.lower()).strip('-')}"
    more = "  archiveprefix = {arXiv},\n" if field == "eprint" else ""
    return key, f"@misc{{{key},\n  {field} = {identifier},\n{more}}}"


@cache
def _shipped() -> dict[str, str]:
    """Return the entries of `references.bib` by key."""
    text = (files("harmbench.leaderboard") / "references.bib").read_text(encoding="utf-8")
    entries = [entry.strip() for entry in text.split("\n\n") if entry.strip()]
    return {entry.partition("{")[2].partition(",")[0]: entry for entry in entries}
