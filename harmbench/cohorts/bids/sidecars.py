"""JSON sidecars of a scan by BIDS' inheritance principle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harmbench.cohorts.bids.scan import own_sidecar
from harmbench.errors import BadScanError
from harmbench.preprocessing.file_names import with_ending
from harmbench.util.text_table import decoded_text
from harmbench.util.unfetched import why_unfetched


@dataclass(frozen=True)
class Sidecar:
    """What the sidecars say of a scan.

    Attributes
    ----------
    content
        Their fields, key by key from the nearest file that has it; None without a sidecar.
    inherited
        The files that apply, without the scan's own, the nearest last.
    notes
        What the user must know of them.
    """

    content: Mapping[str, Any] | None
    inherited: tuple[Path, ...]
    notes: tuple[str, ...] = ()


class Sidecars:
    """Which sidecars apply to a scan by BIDS' inheritance principle.

    They lie in the scan's folder or one above it, up to the root, end in the same suffix, and
    have no entity in their name that the scan's has not.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[Path, list[Path]] = {}
        self._contents: dict[Path, Mapping[str, Any]] = {}

    def exist(self, scan: Path) -> bool:
        """Whether a sidecar applies to a scan."""
        return any(self._levels(scan))

    def of(self, scan: Path) -> Sidecar:
        """Read the sidecars of a scan.

        Raises
        ------
        BadScanError
            If one cannot be read, or two in one folder contradict each other: BIDS allows one
            that applies in each folder.
        """
        merged: dict[str, Any] = {}
        notes: list[str] = []
        levels = self._levels(scan)
        for paths in levels:
            contents = [self._content(path) for path in paths]
            if len(paths) > 1:
                names = " and ".join(path.name for path in paths)
                where = f"the sidecars {names} of one folder both apply to it"
                field = _contradiction(contents)
                if field is not None:
                    raise BadScanError(
                        f"{where} and contradict each other in {field}; BIDS allows one: remove "
                        "a file or the field"
                    )
                notes.append(f"{where}; BIDS allows one")
            for content in contents:
                merged |= content
        applying = [path for paths in levels for path in paths]
        inherited = tuple(path for path in applying if path != own_sidecar(scan))
        return Sidecar(merged if applying else None, inherited, tuple(notes))

    def _levels(self, scan: Path) -> list[list[Path]]:
        """Return the sidecars that apply, folder by folder, the nearest folder last."""
        *entities, suffix = with_ending(scan, "").name.split("_")
        levels = []
        for folder in reversed(scan.parents):
            if not folder.is_relative_to(self._root):
                continue
            if folder not in self._known:
                self._known[folder] = sorted(folder.glob("*.json"))
            applying = []
            for path in self._known[folder]:
                *parts, end = path.name.removesuffix(".json").split("_")
                if end == suffix and set(parts) <= set(entities):
                    applying.append(path)
            if applying:
                levels.append(sorted(applying, key=lambda path: path.name.count("_")))
        return levels

    def _content(self, path: Path) -> Mapping[str, Any]:
        if path not in self._contents:
            self._contents[path] = _read(path)
        return self._contents[path]


def _read(path: Path) -> Mapping[str, Any]:
    reason = why_unfetched(path)
    if reason is not None:
        raise BadScanError(f"its sidecar {path.name} {reason}")
    try:
        content = json.loads(decoded_text(path.read_bytes())[0])
    except (OSError, ValueError) as error:
        raise BadScanError(f"its sidecar {path.name} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise BadScanError(f"its sidecar {path.name} holds no JSON object")
    return content


def _contradiction(contents: list[Mapping[str, Any]]) -> str | None:
    """Return a field that two contents have with different values."""
    for number, content in enumerate(contents):
        for other in contents[number + 1 :]:
            for field in content:
                if field in other and other[field] != content[field]:
                    return field
    return None
