"""A TOML file as a plugin: a module that registers one method, which is created when it is used."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from harmbench.contracts.needs import Needs
from harmbench.external.command_file import read_command_file
from harmbench.external.program import Program
from harmbench.hookspecs import hookimpl
from harmbench.util.hashing import digest
from harmbench.util.lazy import Lazy

_CLASS = "Command"


def command_plugin(path: Path, home: Path | None = None) -> ModuleType:
    """Return the module of a command file, and add it to `sys.modules`.

    Listings show the method without torch, and without running its version command.

    Parameters
    ----------
    path
        The TOML file.
    home
        The folder that caches digests of large files, such as images of containers.

    Raises
    ------
    UserError
        In one line, if the file is wrong.
    """
    program = Program(file=read_command_file(path), path=path.resolve(), home=home)
    name = f"harmbench_command_{digest(str(path.resolve()))[:8]}"
    module = _CommandModule(name, program)
    sys.modules[name] = module
    return module


class _CommandModule(ModuleType):
    def __init__(self, name: str, program: Program) -> None:
        super().__init__(name, program.file.summary)
        file = program.file
        lazy = Lazy(f"{name}:{_CLASS}", summary=file.summary, needs=Needs(file.needs).name)

        @hookimpl
        def register_methods() -> dict[str, Lazy]:
            return {file.name: lazy}

        self.register_methods = register_methods
        self._program = program

    def __getattr__(self, name: str) -> Any:
        if name != _CLASS:
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")
        created = _command_class(self.__name__, self._program)
        setattr(self, name, created)
        return created


def _command_class(module: str, program: Program) -> type[Any]:
    from harmbench.contracts.model import Model
    from harmbench.data.volumes import Frame, VolumeSpace
    from harmbench.external.command_method import CommandMethod

    file = program.file
    space = VolumeSpace(frame=Frame(file.space), spacing=file.spacing or 1.0, head=file.head)
    attributes: dict[str, Any] = {
        "__module__": module,
        "__doc__": file.summary,
        "name": file.name,
        "summary": file.summary,
        "reference": file.reference,
        "needs": Needs(file.needs),
        # With the identity: a changed program is another version.
        "version": f"{file.version} ({program.identity[:12]})",
        "space": space,
        "program": program,
    }
    if file.needs == Needs.NOTHING.value:
        attributes["fit"] = Model.fit
    return type(_CLASS, (CommandMethod,), attributes)
