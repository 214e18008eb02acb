"""Brain extraction by a tool that is installed: SynthStrip or HD-BET, each a program of its own.

SynthStrip (Hoopes et al., NeuroImage 2022;260:119474) is FreeSurfer's `mri_synthstrip`, and
HD-BET (Isensee et al., Hum Brain Mapp 2019;40:4952-4964) is `hd-bet`, version 2 or later.
"""

from __future__ import annotations

import gzip
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from harmbench.data.prepare_options import AUTO, EXTRACTION_TOOLS, NONE
from harmbench.errors import BadScanError, UserError
from harmbench.util.files import atomic_write_bytes
from harmbench.util.hashing import digest, file_digest

_OUTPUT = 200  # characters of what a tool said that are told when it failed


@dataclass(frozen=True)
class Extractor:
    """An installed tool.

    Attributes
    ----------
    name, program
        As on the command line, and where it lies.
    version
        Its version, or where it does not tell one, the beginning of its program's digest.
    """

    name: str
    program: Path
    version: str

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"


def find_extractor(choice: str) -> Extractor | None:
    """Find a tool on the search path of programs.

    Parameters
    ----------
    choice
        As `Preparing.brain_extraction`.

    Returns
    -------
    Extractor or None
        None for `"none"`, and for `"auto"` where none is installed.

    Raises
    ------
    UserError
        If the tool asked for by name is not installed.
    """
    if choice == NONE:
        return None
    for name in EXTRACTION_TOOLS if choice == AUTO else (choice,):
        found = shutil.which(name)
        if found is not None:
            program = Path(found).absolute()
            return Extractor(name, program, _version(name, program))
    if choice == AUTO:
        return None
    raise UserError(
        f"--brain-extraction {choice}: no program '{choice}' is on the PATH; install it, or say "
        f"--brain-extraction {AUTO}"
    )


@lru_cache(maxsize=4)
def _version(name: str, program: Path) -> str:
    """Return a tool's version: neither has an option that tells it."""
    known = _freesurfer(program) if name == "mri_synthstrip" else _distribution(program)
    return known or file_digest(program)[:8]


def _freesurfer(program: Path) -> str | None:
    """Return the stamp of the FreeSurfer that a program is of."""
    for place in (program, program.resolve()):
        stamp = place.parent.parent / "build-stamp.txt"
        if stamp.is_file():
            return stamp.read_text(errors="replace").strip() or None
    return None


def _distribution(program: Path) -> str | None:
    """Ask the Python that a program is installed in."""
    try:
        with program.open("rb") as stream:
            first = stream.readline().decode(errors="replace").strip()
    except OSError:
        return None
    if not first.startswith("#!") or "python" not in first:
        return None
    asked = "from importlib.metadata import version; print(version('hd-bet'))"
    command = [*first.removeprefix("#!").split(), "-c", asked]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return told.stdout.strip() or None


def extracted_mask(extractor: Extractor, scan: Path, content: str | None, home: Path) -> Path:
    """Return the mask of a scan's brain, found now or before.

    Parameters
    ----------
    extractor
        The tool.
    scan, content
        The volume, and its digest.
    home
        Where masks are kept.

    Returns
    -------
    pathlib.Path
        A NIfTI file on the scan's voxels.

    Raises
    ------
    BadScanError
        If the tool failed.
    """
    name = digest("brain mask", extractor.name, extractor.version, content)
    kept = home / "masks" / f"{name}.nii.gz"
    if kept.exists():
        return kept
    from filelock import FileLock

    kept.parent.mkdir(parents=True, exist_ok=True)
    # One at a time: each takes all processors, and gigabytes of memory.
    with FileLock(kept.parent / ".lock"), tempfile.TemporaryDirectory() as folder:
        if not kept.exists():
            atomic_write_bytes(kept, _run(extractor, scan, Path(folder)))
    return kept


def _run(extractor: Extractor, scan: Path, folder: Path) -> bytes:
    """Run the tool, and return the content of the mask that it wrote, compressed."""
    source = scan.absolute()
    if source.suffix != ".gz":
        # HD-BET takes nothing else.
        source = folder / "scan.nii.gz"
        source.write_bytes(gzip.compress(scan.read_bytes(), compresslevel=1))
    command: list[str | Path]
    if extractor.name == "mri_synthstrip":
        mask = folder / "mask.nii.gz"
        command = [extractor.program, "-i", source, "-m", mask]
    else:
        mask = folder / "brain_bet.nii.gz"
        command = [extractor.program, "-i", source, "-o", folder / "brain.nii.gz"]
        command += ["--save_bet_mask", "--no_bet_image", *_device()]
    try:
        ended = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    except OSError as error:
        raise BadScanError(f"{extractor.title} cannot be run: {error.strerror}") from error
    if ended.returncode != 0 or not mask.is_file():
        told = (ended.stderr.strip() or ended.stdout.strip()).decode(errors="replace")
        last = told.splitlines()[-1][-_OUTPUT:] if told else "it said nothing"
        code = f"exit code {ended.returncode}" if ended.returncode else "it wrote no mask"
        raise BadScanError(f"{extractor.title} failed on {scan.name} ({code}): {last}")
    return mask.read_bytes()


def _device() -> tuple[str, ...]:
    """Return HD-BET's options for where it is to run; its default is a GPU, there or not."""
    import torch

    return () if torch.cuda.is_available() else ("-device", "cpu", "--disable_tta")
