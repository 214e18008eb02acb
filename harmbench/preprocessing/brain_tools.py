"""The tools of brain extraction: installed programs, and the library deepbet."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from harmbench.data.prepare_options import AUTO, DEEPBET, HD_BET, NONE, SYNTHSTRIP
from harmbench.errors import BadScanError, UserError
from harmbench.util.hashing import file_digest

_PROGRAMS = (SYNTHSTRIP, HD_BET)  # `auto` uses the first that is installed
_VERSION_SECONDS = 60.0  # for the Python of HD-BET to tell its version


class ToolError(BadScanError):
    """A tool of brain extraction failed; the scan itself may be usable."""


@dataclass(frozen=True)
class Extractor:
    """A tool of brain extraction.

    Attributes
    ----------
    name
        Its name on the command line.
    version
        Its version, or, if that is unknown, the beginning of its program's digest.
    program
        The path of its program; None for the library deepbet.
    """

    name: str
    version: str
    program: Path | None = None

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"


def find_extractor(choice: str) -> Extractor | None:
    """Find a tool of brain extraction.

    Parameters
    ----------
    choice
        As `PrepareOptions.brain_extraction`.

    Returns
    -------
    Extractor or None
        For `"auto"`, the first program on the PATH, or deepbet. None for `"none"`.

    Raises
    ------
    UserError
        If the named program is not installed.
    """
    if choice == NONE:
        return None
    if choice == DEEPBET:
        return Extractor(DEEPBET, version(DEEPBET))
    for name in _PROGRAMS if choice == AUTO else (choice,):
        path = shutil.which(name)
        if path is not None:
            program = Path(path).absolute()
            return Extractor(name, _program_version(name, program), program)
    if choice == AUTO:
        return find_extractor(DEEPBET)
    raise UserError(
        f"--brain-extraction {choice}: no program '{choice}' is on the PATH; install it, or give "
        f"--brain-extraction {AUTO}"
    )


@lru_cache(maxsize=4)
def _program_version(name: str, program: Path) -> str:
    """Return a program's version; none has an option that prints it."""
    known = _freesurfer(program) if name == SYNTHSTRIP else _distribution(program)
    return known or file_digest(program)[:8]


def _freesurfer(program: Path) -> str | None:
    """Return the build stamp of the FreeSurfer installation that contains a program."""
    for path in (program, program.resolve()):
        stamp = path.parent.parent / "build-stamp.txt"
        if stamp.is_file():
            return stamp.read_text(errors="replace").strip() or None
    return None


def _distribution(program: Path) -> str | None:
    """Return the version of the package hd-bet in the Python that runs a program."""
    try:
        with program.open("rb") as stream:
            shebang = stream.readline().decode(errors="replace").strip()
    except OSError:
        return None
    if not shebang.startswith("#!") or "python" not in shebang:
        return None
    code = "from importlib.metadata import version; print(version('hd-bet'))"
    command = [*shebang.removeprefix("#!").split(), "-c", code]
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=_VERSION_SECONDS, check=True
        )
    except (OSError, subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None
