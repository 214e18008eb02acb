"""The files that make an output folder a BIDS derivative."""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from harmbench.errors import UserError
from harmbench.harmonization.harmonizer import Harmonizer
from harmbench.util.files import atomic_write_bytes

_DESCRIPTION = "dataset_description.json"
# BIDS has no name for a picture beside a scan, so validators must skip ours.
_IGNORE = "*_T1w.png\n"


def describe(out: Path, folder: Path, harmonizer: Harmonizer, *, force: bool) -> None:
    """Write the derivative's `dataset_description.json` and `.bidsignore` if they do not exist.

    Raises
    ------
    UserError
        If the folder is another data set, or holds scans of another fit and `force` is False.
    """
    path = out / _DESCRIPTION
    if path.exists():
        try:
            generator: dict[str, Any] = json.loads(path.read_text())["GeneratedBy"][0]
            ours = generator["Name"] == "harmbench"
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            generator, ours = {}, False
        if not ours:
            raise UserError(f"'{out}' is a data set not made by harmbench; choose another folder")
        if generator.get("Harmonizer") == harmonizer.key:
            return
        if not force:
            raise UserError(
                f"'{out}' holds scans of another fit: {generator.get('Description')}; choose "
                "another folder, or give --force to replace them"
            )
    description = _description(out, folder, harmonizer)
    try:
        atomic_write_bytes(out / ".bidsignore", _IGNORE.encode())
        atomic_write_bytes(path, json.dumps(description, indent=1).encode())
    except OSError as error:
        raise UserError(f"'{out}' cannot be written to: {error.strerror}") from None


def _description(out: Path, folder: Path, harmonizer: Harmonizer) -> dict[str, Any]:
    # Relative, so that both data sets can be moved together; as a URI, so blanks are quoted.
    raw = quote(Path(os.path.relpath(folder.resolve(), out.resolve())).as_posix())
    return {
        "Name": f"T1w scans harmonised by {harmonizer.title}",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [
            {
                "Name": "harmbench",
                "Version": version("harmbench"),
                "Description": f"{harmonizer.title}, fit {harmonizer.fit or 'none'}",
                "Harmonizer": harmonizer.key,
                **harmonizer.record,
            }
        ],
        "SourceDatasets": [{"URL": raw}],
        "DatasetLinks": {"raw": raw},
    }
