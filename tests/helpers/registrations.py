"""One folder of registrations for all tests of a run: to register a brain takes a second."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from harmbench.preprocessing.masking import BrainSource, load_masked
from harmbench.preprocessing.registration_cache import cached_registration
from harmbench.preprocessing.version import PREPROCESSING_VERSION
from harmbench.util.hashing import digest, file_digest


def registrations_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder, which all workers share; another run of the tests has another one."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / "registrations"
    folder.mkdir(exist_ok=True)
    return folder


def share_registrations(folder: Path, home: Path) -> None:
    """Let a home that has no registrations yet use those of a folder.

    A registration is found by the content of its scan, so a test of another scan gets its own.
    """
    home.mkdir(parents=True, exist_ok=True)
    (home / "registrations").symlink_to(folder)


def reuse_registration(
    home: Path, path: Path, mask: Path | None = None, *, heads: bool = False, image: str = "coarse"
) -> None:
    """Let a scan of an image of many tests use the registration of that image.

    Its bytes differ from those of other files with the same voxels, so it would be registered
    again. The first file with these voxels, or with a multiple of them, is registered as any
    other. A head needs the mask that leaves this brain; heads that are kept as heads all have
    the same voxels.
    """
    folder = (home / "registrations").resolve()
    # The name of the registration of the first file.
    first = folder / f"first {'head' if heads else 'brain'}, {image}"
    with FileLock(folder.with_suffix(".lock")):
        digests = {each: file_digest(each) for each in (path, mask) if each is not None}
        source = BrainSource.of(path, mask, digests, heads=heads)
        name = registration_name(source.content)
        if not first.exists():
            cached_registration(source.content, home, load_masked(source, home).brain)
            first.write_text(name)
        elif not (folder / name).exists():
            shutil.copyfile(folder / first.read_text(), folder / name)


def registration_name(content: str | None) -> str:
    """Return the name of the file that caches the registration of a brain, by its content."""
    return f"{digest('registration', PREPROCESSING_VERSION, content)}.json"
