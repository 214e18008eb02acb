"""The program behind a command method: where its files are, and what identifies it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harmbench.errors import UserError
from harmbench.external.command_file import CommandFile, filled
from harmbench.util.file_digests import remembered_digests
from harmbench.util.hashing import digest, file_digest

# Smaller files are hashed each time: a script may change twice within a tick of the clock.
_LARGE = 64 * 2**20
_VERSION_SECONDS = 120
_LARGEST_SOURCE = 2**20  # a larger file is no script
# Keys of the file that no result depends on.
_NOT_COMPUTING = {"summary", "reference", "timeout", "fit_timeout"}


@dataclass(frozen=True, kw_only=True)
class Program:
    """A command file, and the files that it names.

    Attributes
    ----------
    file
        The content of the TOML file.
    path
        The TOML file, absolute.
    home
        The folder that caches digests of large files; they are not cached if None.
    """

    file: CommandFile
    path: Path = field(repr=False)
    home: Path | None = field(default=None, repr=False)

    @property
    def folder(self) -> Path:
        """The folder of the TOML file, which its relative paths refer to."""
        return self.path.parent

    @property
    def apply(self) -> list[str]:
        """The command that harmonises, with absolute paths instead of relative ones."""
        return [self._absolute(argument) for argument in self.file.apply]

    @property
    def fit(self) -> list[str]:
        """The command that learns, with absolute paths; empty if there is none."""
        return [self._absolute(argument) for argument in self.file.fit or ()]

    @property
    def everywhere(self) -> dict[str, str]:
        """Values of the placeholders that do not depend on the scan."""
        return {"python": sys.executable, "folder": str(self.folder)}

    @property
    def identity(self) -> str:
        """Hash of everything that identifies the program: command file, files and version.

        Files are those that an argument names and those of the key `files`. The first argument
        may name a program on the PATH; it counts unless the file has a `version_command`.

        Raises
        ------
        UserError
            If the program or a file is missing, or if the version command fails.
        """
        content = self.file.model_dump(mode="json", exclude=_NOT_COMPUTING)
        files = dict(self._files())
        large = [path for path in files.values() if path.stat().st_size > _LARGE]
        digests = remembered_digests(large, self.home) if large and self.home else {}
        return digest(
            "command",
            content,
            {name: digests.get(path) or file_digest(path) for name, path in files.items()},
            self._version_output(),
        )

    @property
    def sources(self) -> dict[str, bytes]:
        """The TOML file and the scripts that it names, by name; without programs on the PATH."""
        paths = {self.path.name: self.path}
        for _, path in self._named_files():
            if path.stat().st_size <= _LARGEST_SOURCE:
                inside = path.is_relative_to(self.folder)
                name = path.relative_to(self.folder).as_posix() if inside else path.name
                paths.setdefault(name.replace("/", "_"), path)
        return {name: path.read_bytes() for name, path in paths.items()}

    def environment(self, variables: Mapping[str, object] | None = None) -> dict[str, str]:
        """Return this process's environment with the variables of the command file.

        Parameters
        ----------
        variables
            Values of placeholders; those that do not depend on the scan if None.
        """
        values = {"device": "", "seed": "", **self.everywhere, **(variables or {})}
        own = self.file.environment
        return os.environ | dict(zip(own, filled(own.values(), values), strict=True))

    def found(self, name: str) -> Path | None:
        """Return a program on the PATH of the commands; None if it is not installed."""
        path = shutil.which(name, path=self.environment().get("PATH"))
        return None if path is None else Path(path)

    def _files(self) -> Iterator[tuple[str, Path]]:
        """Yield the name and path of every file that identifies the program."""
        for first in (command[0] for command in (self.file.apply, self.file.fit) if command):
            found = None if self._named_file(first) else self._on_path(first)
            if found is not None and self.file.version_command is None:
                yield first, found
        yield from self._named_files()

    def _named_files(self) -> Iterator[tuple[str, Path]]:
        for argument in (*self.file.apply, *(self.file.fit or ())):
            path = self._named_file(argument)
            if path is not None:
                yield argument, path
        for name in self.file.files:
            path = self.folder / name
            if path.is_dir():
                inside = sorted(each for each in path.rglob("*") if each.is_file())
                yield from ((f"{name}/{each.relative_to(path)}", each) for each in inside)
            elif path.is_file():
                yield name, path
            else:
                raise UserError(f"command '{self.file.name}': files: there is no '{path}'")

    def _named_file(self, argument: str) -> Path | None:
        """Return the file that an argument names, by itself or as `--option=FILE`, or None."""
        for text in (argument, argument.partition("=")[2]):
            if text and "{" not in text and (self.folder / text).is_file():
                return self.folder / text
        return None

    def _absolute(self, argument: str) -> str:
        path = self._named_file(argument)
        if path is None:
            return argument
        option = "" if path == self.folder / argument else f"{argument.partition('=')[0]}="
        return f"{option}{path}"

    def _on_path(self, argument: str) -> Path | None:
        """Return the program that a first argument names; None for a placeholder."""
        if "{" in argument:
            return None
        found = self.found(argument)
        if found is None:
            raise UserError(
                f"command '{self.file.name}': there is no program '{argument}', neither in "
                f"{self.folder} nor on the PATH"
            )
        return found

    def _version_output(self) -> str:
        if self.file.version_command is None:
            return ""
        first, *others = (self._absolute(argument) for argument in self.file.version_command)
        command = filled([first, *others], self.everywhere)
        return _output_of(command, f"command '{self.file.name}': version_command", self)


def _output_of(command: Sequence[str], title: str, program: Program) -> str:
    try:
        ended = subprocess.run(
            command,
            cwd=program.folder,
            env=program.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_VERSION_SECONDS,
            check=False,
        )
    except OSError as error:
        raise UserError(f"{title}: '{command[0]}' cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{title}: no answer in {_VERSION_SECONDS} s") from error
    output = ended.stdout.strip()
    if ended.returncode != 0 or not output:
        lines = (ended.stderr.strip() or "no output").splitlines()
        raise UserError(f"{title}: exit code {ended.returncode}: {lines[-1][:200]}")
    return output
