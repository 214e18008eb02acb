"""Records for publication, without what identifies a subject, a user or a machine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from harmbench.bundles.bound_subjects import renamed
from harmbench.bundles.pseudonyms import Pseudonyms
from harmbench.store.provenance import Provenance
from harmbench.store.record import MetricValues, Record

# An absolute path, or one in the user's folder; of these only the last part is published.
_PATH = re.compile(r"""(?<![\w./\\])(?:~|[A-Za-z]:)?(?:[/\\][^\s/\\'",;:()]+)+[/\\]?""")
_MARKED_SUBJECT = re.compile(r"\bsub-[A-Za-z0-9]+")
# The kind of a cohort whose heads are computed: no subject of it is a person.
PHANTOM = "phantom"
# Shorter names are parts of numbers and words; they are replaced in `sub-1` and in paths alone.
_SHORTEST_NAME = 3


class OpenRecords:
    """Publishes records as they are."""

    def record(self, record: Record) -> Record:
        """Return the record."""
        return record

    def scan(self, name: str) -> str:
        """Return the name of a scan."""
        return name


@dataclass(frozen=True)
class PrivateRecords:
    """Replaces subjects by pseudonyms, and removes users and paths.

    Attributes
    ----------
    pseudonyms
        Of the cohort of the records; None for a cohort without persons, whose names are kept.
    """

    pseudonyms: Pseudonyms | None

    def record(self, record: Record) -> Record:
        """Return a record for publication."""
        subjects, metrics = self._values(record)
        return replace(
            record,
            user="",
            head=self._head(record.head),
            subjects=subjects,
            metrics=metrics,
            provenance=Provenance(
                self.text(record.provenance.command),
                {name: self.text(text) for name, text in record.provenance.environment.items()},
                {name: self.text(text) for name, text in record.provenance.settings.items()},
            ),
        )

    def scan(self, name: str) -> str:
        """Return the name of a scan for publication, of `subject/session`."""
        return name if self.pseudonyms is None else self.pseudonyms.scan(name)

    def text(self, text: str) -> str:
        """Return a text without paths and names of subjects."""
        text = _PATH.sub(lambda match: self._last_part(match[0]), text)
        if self.pseudonyms is None:
            return text
        if self._names is not None:
            text = self._names.sub(lambda match: self._subject(match[0]), text)
        return _MARKED_SUBJECT.sub(lambda match: f"sub-{self._subject(match[0][4:])}", text)

    def _last_part(self, path: str) -> str:
        """Return the last part of a path, without names of subjects of any length."""
        part = re.split(r"[/\\]", path.rstrip("/\\"))[-1]
        if self.pseudonyms is None or self._short_names is None:
            return part
        return self._short_names.sub(lambda match: self._subject(match[0]), part)

    def _subject(self, name: str) -> str:
        assert self.pseudonyms is not None
        return name if name in self.pseudonyms.names else self.pseudonyms.subject(name)

    @cached_property
    def _names(self) -> re.Pattern[str] | None:
        """Matches every name of a subject that is long enough."""
        assert self.pseudonyms is not None
        return _words(name for name in self.pseudonyms.subjects if len(name) >= _SHORTEST_NAME)

    @cached_property
    def _short_names(self) -> re.Pattern[str] | None:
        """Matches every other name."""
        assert self.pseudonyms is not None
        return _words(name for name in self.pseudonyms.subjects if len(name) < _SHORTEST_NAME)

    def _head(self, head: Mapping[str, Any]) -> dict[str, Any]:
        submission = dict(head.get("submission", {}))
        if "missing" in submission:
            submission["missing"] = sorted(map(self.scan, submission["missing"]))
        if "images" in submission:
            submission["images"] = self._by_scan(submission["images"])
        reasons = {
            name: {scan: self.text(str(reason)) for scan, reason in head.get(name, {}).items()}
            for name in ("flags", "missing")
        }
        return {
            **head,
            "reason": self.text(head["reason"]),
            "bounds": renamed(head.get("bounds", {}), self.scan),
            **{name: self._by_scan(values) for name, values in reasons.items()},
            "submission": submission,
        }

    def _by_scan(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return dict(sorted((self.scan(name), value) for name, value in values.items()))

    def _values(self, record: Record) -> tuple[str, dict[str, MetricValues]]:
        """Return subjects and metrics in the order of the pseudonyms: the old order is a hint."""
        if self.pseudonyms is None or not record.subjects:
            return record.subjects, dict(record.metrics)
        names = [self.pseudonyms.subject(name) for name in json.loads(record.subjects)]
        order = sorted(range(len(names)), key=names.__getitem__)
        metrics = {
            name: values._replace(subjects=_reordered(values.subjects, order))
            for name, values in record.metrics.items()
        }
        return json.dumps([names[i] for i in order]), metrics


def _reordered(values: str, order: Sequence[int]) -> str:
    """Return the values of subjects, separated by commas, in another order."""
    texts = values.split(",")
    return ",".join(texts[i] for i in order) if len(texts) == len(order) else values


def _words(names: Iterable[str]) -> re.Pattern[str] | None:
    """Return a pattern that matches whole names, the longest first; None without names."""
    alternatives = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    whole = rf"(?<![A-Za-z0-9])(?:{alternatives})(?![A-Za-z0-9])"
    return re.compile(whole) if alternatives else None
