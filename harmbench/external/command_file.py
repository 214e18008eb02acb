"""The TOML file of a command method: its keys, types and ranges."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, field_validator, model_validator

from harmbench.contracts.needs import Needs
from harmbench.errors import UserError
from harmbench.util.toml_table import Table, read_toml


def as_tuple(value: Any) -> Any:
    """Return a list of TOML as a tuple, and everything else as it is."""
    return tuple(value) if isinstance(value, list) else value


Text = Annotated[str, Field(min_length=1)]
Line = Annotated[str, StringConstraints(pattern=r"^[^\n]+$")]
MethodName = Annotated[str, StringConstraints(pattern="^[a-z0-9]+(-[a-z0-9]+)*$")]
Arguments = Annotated[tuple[Text, ...], Field(min_length=1), BeforeValidator(as_tuple)]
Paths = Annotated[tuple[Text, ...], BeforeValidator(as_tuple)]
Seconds = Annotated[float, Field(gt=0)]

# A doubled brace is left as it is, since the templates of `docker inspect` contain such.
_PLACEHOLDER = re.compile(r"(?<!\{)\{([a-z_]+)\}(?!\})")

_EVERYWHERE = ("python", "folder")
_PER_SCAN = ("input", "output", "mask")
_PER_FOLDER = ("input_folder", "output_folder", "mask_folder")
_OF_APPLY = (*_PER_SCAN, *_PER_FOLDER, "reference", "model", "device", "seed", *_EVERYWHERE)
_OF_FIT = ("input_folder", "mask_folder", "model", "device", "seed", *_EVERYWHERE)
# Programs that run images of containers; images that are no file have no digest of their own.
_CONTAINER_PROGRAMS = ("docker", "podman")


class CommandFile(Table):
    """A method that is a program or a container.

    Attributes
    ----------
    name, summary, reference, version
        As of `Method`.
    needs
        Data that the method is entitled to, such as `"target"`: the value of a `Needs`.
    version_command
        A command whose output identifies the program, for the keys of results.
    apply
        The command that harmonises, as a list of arguments; no shell interprets it.
    fit
        The command that learns; None if the method learns nothing.
    space, spacing, head
        As of `VolumeSpace`; `spacing` is 1 mm by default.
    timeout
        Seconds for one scan; a command on a folder has as many times more as it has scans.
    fit_timeout
        Seconds for the fit.
    environment
        Environment variables of both commands.
    files
        Further files and folders whose content identifies the program.
    """

    name: MethodName
    summary: Line
    needs: str = Needs.NOTHING.value
    reference: Text | None = None
    version: Text = "1"
    version_command: Arguments | None = None
    apply: Arguments
    fit: Arguments | None = None
    space: Literal["acquired", "MNI152"] = "acquired"
    spacing: Annotated[float, Field(ge=0.5, le=8)] | None = None
    head: bool = False
    timeout: Seconds = 3600.0
    fit_timeout: Seconds = 7 * 24 * 3600.0
    environment: Mapping[str, str] = Field(default_factory=dict)
    files: Paths = ()

    @field_validator("needs")
    @classmethod
    def _known_needs(cls, needs: str) -> str:
        allowed = [each.value for each in Needs if not each.control_only]
        if needs not in allowed:
            raise ValueError(str(UserError.unknown("needs", needs, allowed)))
        return needs

    @field_validator("apply")
    @classmethod
    def _check_apply(cls, arguments: tuple[str, ...]) -> tuple[str, ...]:
        used = placeholders(arguments, _OF_APPLY)
        scan, folder = used & {*_PER_SCAN}, used & {*_PER_FOLDER}
        if scan and folder:
            raise ValueError(
                f"{{{min(scan)}}} is of a command on one scan, {{{min(folder)}}} of a command on a "
                "folder; use one kind"
            )
        pair = ("input_folder", "output_folder") if folder else ("input", "output")
        for name in pair:
            if name not in used:
                raise ValueError(f"no argument contains {{{name}}}")
        return arguments

    @field_validator("fit")
    @classmethod
    def _check_fit(cls, arguments: tuple[str, ...] | None) -> tuple[str, ...] | None:
        used = placeholders(arguments or ("{model}",), _OF_FIT)
        if "model" not in used:
            raise ValueError("no argument contains {model}, the folder that the fit writes")
        return arguments

    @field_validator("version_command")
    @classmethod
    def _check_version_command(cls, arguments: tuple[str, ...] | None) -> tuple[str, ...] | None:
        placeholders(arguments or (), _EVERYWHERE)
        return arguments

    @field_validator("environment")
    @classmethod
    def _check_environment(cls, environment: Mapping[str, str]) -> Mapping[str, str]:
        placeholders(environment.values(), ("device", "seed", *_EVERYWHERE))
        return environment

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        used = placeholders(self.apply, _OF_APPLY)
        learns = self.needs != Needs.NOTHING.value
        if self.spacing is not None and self.space == "acquired":
            raise ValueError('spacing: it belongs to space = "MNI152"; remove it')
        if not learns and (self.fit is not None or "reference" in used):
            part = "fit" if self.fit is not None else "{reference}"
            raise ValueError(f'{part} uses scans of the target; add needs = "target"')
        if learns and self.fit is None and "reference" not in used:
            raise ValueError(
                f'needs = "{self.needs}", but no command uses these scans; add fit = [...], or '
                "{reference} to apply, or remove needs"
            )
        if "model" in used and self.fit is None:
            raise ValueError("apply: {model} is what the fit writes; add fit = [...]")
        if Path(self.apply[0]).name in _CONTAINER_PROGRAMS and self.version_command is None:
            raise ValueError(
                "version_command: the key is missing; add one that prints the image's digest, "
                f'such as ["{self.apply[0]}", "image", "inspect", "--format", "{{{{.Id}}}}", '
                '"IMAGE"]'
            )
        return self

    @property
    def per_folder(self) -> bool:
        """Whether one call of the command harmonises all scans of a folder."""
        return "input_folder" in placeholders(self.apply, _OF_APPLY)

    @property
    def uses_reference(self) -> bool:
        """Whether the command receives one scan of the target."""
        return "reference" in placeholders(self.apply, _OF_APPLY)


def placeholders(arguments: Iterable[str], allowed: Iterable[str]) -> set[str]:
    """Return the names of the placeholders in arguments.

    Raises
    ------
    ValueError
        If a placeholder is not allowed.

    Examples
    --------
    >>> placeholders(["tool", "--in={input}", "{{.Id}}"], ["input", "output"])
    {'input'}
    """
    names = {name for argument in arguments for name in _PLACEHOLDER.findall(argument)}
    known = [*allowed]
    for name in sorted(names - {*known}):
        raise ValueError(str(UserError.unknown("placeholder", name, known)))
    return names


def filled(arguments: Iterable[str], values: Mapping[str, object]) -> list[str]:
    """Return arguments with the values of their placeholders.

    Examples
    --------
    >>> filled(["tool", "--in={input}", "{{.Id}}"], {"input": "a.nii.gz"})
    ['tool', '--in=a.nii.gz', '{{.Id}}']
    """
    return [_PLACEHOLDER.sub(lambda match: str(values[match[1]]), each) for each in arguments]


def read_command_file(path: Path) -> CommandFile:
    """Read and check the TOML file of a command method.

    Raises
    ------
    UserError
        In one line, if the file is wrong.
    """
    title = f"command {path.name}"
    return CommandFile.checked(read_toml(path, title), title)
