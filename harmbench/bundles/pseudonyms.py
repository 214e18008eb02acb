"""Pseudonyms of subjects, the same in all bundles of a cohort.

A pseudonym is a keyed hash (HMAC-SHA-256) of the subject's name. The key is a hash of the
contents of the cohort's scans, and is in no bundle. So two laboratories that have the same scans
publish the same pseudonyms without an agreement, and can translate them back; a reader without
the scans can neither translate a pseudonym nor test a guess.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

_DIGITS = 10  # hexadecimal: a cohort of 10,000 subjects has two equal ones with p = 5e-5
_SESSION_DIGITS = 6


@dataclass(frozen=True)
class Pseudonyms:
    """The pseudonyms of one cohort.

    Attributes
    ----------
    subjects
        Names of all subjects of the cohort.
    secret
        Key of the hash.
    """

    subjects: tuple[str, ...]
    secret: bytes = field(repr=False)

    def subject(self, name: str) -> str:
        """Return the pseudonym of a subject: `s` and ten hexadecimal digits."""
        return f"s{self._hash(name)[:_DIGITS]}"

    def scan(self, name: str) -> str:
        """Return the pseudonym of a scan, which is named `subject/session`."""
        subject, slash, session = name.rpartition("/")
        if not slash:
            return self.subject(name)
        return f"{self.subject(subject)}/{self._hash(name)[:_SESSION_DIGITS] if session else ''}"

    @cached_property
    def names(self) -> Mapping[str, str]:
        """The names of the subjects by their pseudonyms."""
        return {self.subject(name): name for name in self.subjects}

    def _hash(self, text: str) -> str:
        return hmac.new(self.secret, text.encode(), hashlib.sha256).hexdigest()


def pseudonyms_of(home: Path, keys: Iterable[str]) -> dict[str, Pseudonyms]:
    """Return the pseudonyms of the prepared cohorts of a home.

    Parameters
    ----------
    home
        The home folder.
    keys
        Keys of cohorts (`Cohort.key`).

    Returns
    -------
    dict
        By key, without the cohorts that the home does not have.
    """
    wanted = set(keys)
    if not wanted:
        return {}
    return {
        description["key"]: _pseudonyms(description["scans"])
        for description in _descriptions(home, wanted)
    }


def _pseudonyms(scans: Iterable[Mapping[str, Any]]) -> Pseudonyms:
    contents = sorted(
        [scan["domain"], scan["subject"], scan["session"], scan["key"]] for scan in scans
    )
    secret = hashlib.sha256(json.dumps(["subjects", contents]).encode()).digest()
    return Pseudonyms(tuple(sorted({subject for _, subject, _, _ in contents})), secret)


def _descriptions(home: Path, keys: set[str]) -> Iterator[Mapping[str, Any]]:
    """Yield the descriptions of prepared cohorts with one of the keys."""
    for path in sorted((home / "cohorts").glob("[!.]*/cohort.json")):
        try:
            text = path.read_text()
            # Parsing the description of a large cohort takes longer than this search.
            if not any(f'"{key}"' in text for key in keys):
                continue
            content = json.loads(text)
        except (OSError, ValueError):
            continue
        if content.get("key") in keys:
            yield content
