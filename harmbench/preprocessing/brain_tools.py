"""Brain extraction by an installed command-line tool: SynthStrip or HD-BET.

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

_MAX_OUTPUT = 200  # characters of a failed tool's output that the error quotes


@dataclass(frozen=True)
class Extractor:
    """An installed tool.

    Attributes
    ----------
    name, program
        Its name on the command line, and the path of its program.
    version
        Its version, or, if that is unknown, the beginning of its program's digest.
    """

    name: str
    program: Path
    version: str

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"


def find_extractor(choice: str) -> Extractor | None:
    """Find a brain extraction tool on the PATH.

    Parameters
    ----------
    choice
        As `PrepareOptions.brain_extraction`.

    Returns
    -------
    Extractor or None
        None for `"none"`, and for `"auto"` where none is installed.

    Raises
    ------
    UserError
        If the named tool is not installed.
    """
    if choice == NONE:
        return None
    for name in EXTRACTION_TOOLS if choice == AUTO else (choice,):
        path = shutil.which(name)
        if path is not None:
            program = Path(path).absolute()
            return Extractor(name, program, _version(name, program))
    if choice == AUTO:
        return None
    raise UserError(
        f"--brain-extraction {choice}: no program '{choice}' is on the PATH; install it, or give "
        f"--brain-extraction {AUTO}"
    )


@lru_cache(maxsize=4)
def _version(name: str, program: Path) -> str:
    """Return a tool's version; neither tool has an option that prints it."""
    version = _freesurfer(program) if name == "mri_synthstrip" else _distribution(program)
    return version or file_digest(program)[:8]


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
        result = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip() or None


def extracted_mask(extractor: Extractor, scan: Path, content: str | None, home: Path) -> Path:
    """Return the brain mask of a scan, from the cache or computed by a tool.

    Parameters
    ----------
    extractor
        The tool.
    scan, content
        The volume, and its digest.
    home
        The folder that caches masks.

    Returns
    -------
    pathlib.Path
        A compressed NIfTI file on the scan's voxels.

    Raises
    ------
    BadScanError
        If the tool failed.
    """
    name = digest("brain mask", extractor.name, extractor.version, content)
    cached = home / "masks" / f"{name}.nii.gz"
    if cached.exists():
        return cached
    from filelock import FileLock

    cached.parent.mkdir(parents=True, exist_ok=True)
    # One at a time: each run uses all processors and gigabytes of memory.
    with FileLock(cached.parent / ".lock"), tempfile.TemporaryDirectory() as folder:
        if not cached.exists():
            atomic_write_bytes(cached, _run(extractor, scan, Path(folder)))
    return cached


def _run(extractor: Extractor, scan: Path, folder: Path) -> bytes:
    """Run the tool and return the content of its mask file, compressed."""
    source = scan.absolute()
    if source.suffix != ".gz":
        # HD-BET reads compressed files only.
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
        process = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    except OSError as error:
        raise BadScanError(f"{extractor.title} cannot be started: {error.strerror}") from error
    if process.returncode != 0 or not mask.is_file():
        output = (process.stderr.strip() or process.stdout.strip()).decode(errors="replace")
        last = output.splitlines()[-1][-_MAX_OUTPUT:] if output else "no output"
        code = f"exit code {process.returncode}" if process.returncode else "no mask written"
        raise BadScanError(f"{extractor.title} failed on {scan.name} ({code}): {last}")
    return mask.read_bytes()


def _device() -> tuple[str, ...]:
    """Return HD-BET's device options; its default is a GPU, available or not."""
    import torch

    return () if torch.cuda.is_available() else ("-device", "cpu", "--disable_tta")
