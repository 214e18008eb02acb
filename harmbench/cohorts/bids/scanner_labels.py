"""What names the scanner of a scan, as in studies of travelling subjects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from harmbench.cohorts.bids.scan import Scan
from harmbench.util.natural import natural
from harmbench.util.toml_table import Table

Text = Annotated[str, Field(min_length=1)]
_GROUPS = {"scanner", "visit", "subject"}


class ScannerLabels(Table):
    """What names the scanner of a scan: an entity of its file name, or fields of its sidecar.

    Attributes
    ----------
    entity
        The entity, such as `ses`.
    pattern
        Regular expression that matches the whole label. Its group `scanner` is the scanner; its
        group `visit`, if there is one, counts the visits of a subject to this scanner; its group
        `subject`, if there is one, must be the subject's label.
    sidecar
        Fields whose values together name the scanner, in place of a pattern.
    each
        Whether every scanner becomes a domain of its own, named in lower case.
    runs_are_repeats
        Whether the runs of a session are scans of their own, and not alternatives to each other.
    """

    entity: Text = "ses"
    pattern: Text | None = None
    sidecar: Annotated[tuple[Text, ...], BeforeValidator(tuple)] = ()
    each: bool = False
    runs_are_repeats: bool = False

    @field_validator("pattern")
    @classmethod
    def _names_the_scanner(cls, pattern: str | None) -> str | None:
        if pattern is None:
            return None
        try:
            groups = set(re.compile(pattern).groupindex)
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from None
        if "scanner" not in groups:
            raise ValueError("needs a group, as in '(?P<scanner>[A-Z]+)(?P<visit>[0-9]+)'")
        unknown = sorted(groups - _GROUPS)
        if unknown:
            raise ValueError(f"has a group '{unknown[0]}'; groups are scanner, visit and subject")
        return pattern

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.pattern is None) == (not self.sidecar):
            raise ValueError("needs either a pattern or fields of the sidecar")
        return self

    def named(self, scan: Scan) -> Scan:
        """Return a scan with its scanner and visit; unchanged if they are not known."""
        if self.pattern is None:
            values = [str((scan.sidecar or {}).get(field, "")).strip() for field in self.sidecar]
            return replace(scan, scanner=slug("-".join(values))) if all(values) else scan
        match = re.fullmatch(self.pattern, scan.entities.get(self.entity, ""))
        if match is None:
            return scan
        groups = match.groupdict()
        if groups.get("subject", scan.label) != scan.label:
            return scan
        return replace(scan, scanner=groups["scanner"], visit=groups.get("visit") or "")

    def sessions(self, session: Sequence[Scan]) -> list[tuple[Scan, ...]]:
        """Return the files of a session, or one session for each run if runs are repeats."""
        named = tuple(self.named(scan) for scan in session)
        runs: dict[str, list[Scan]] = {}
        for scan in named:
            runs.setdefault(scan.entities.get("run", ""), []).append(scan)
        if not self.runs_are_repeats or len(runs) < 2:
            return [named]
        return [
            tuple(
                scan.renamed(scan.subject, f"{scan.session}-run{run}" if run else scan.session)
                for scan in scans
            )
            for run, scans in sorted(runs.items(), key=lambda item: natural(item[0]))
        ]


def slug(text: str) -> str:
    """Return a text in lower case with single dashes, such as a name of a domain.

    Examples
    --------
    >>> slug("Ingenia Elition X, 3 T")
    'ingenia-elition-x-3-t'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
