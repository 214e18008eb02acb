"""The TOML file of a segmentation program: a command file with the labels of each tissue."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from harmbench.contracts.needs import Needs
from harmbench.external.command_file import CommandFile, Text, as_tuple
from harmbench.util.toml_table import read_toml

Labels = Annotated[tuple[int, ...], Field(min_length=1), BeforeValidator(as_tuple)]


class SegmentationFile(CommandFile):
    """A program that writes one image of labels for a scan; it learns nothing.

    Attributes
    ----------
    tissues
        The labels of each tissue, by name; labels of no tissue are background.
    result
        Path of the image within `{output}`, for a program that writes a folder; None if
        `{output}` is the image. The image may have any voxels in the space of the scan.
    """

    tissues: Annotated[Mapping[Text, Labels], Field(min_length=1)]
    result: Text | None = None

    @model_validator(mode="after")
    def _check_segmentation(self) -> Self:
        if self.fit is not None or self.needs != Needs.NOTHING.value:
            raise ValueError("fit, needs: a segmentation program learns nothing; remove the key")
        if self.per_folder:
            raise ValueError("apply: use {input} and {output}; a scan is segmented at a time")
        if self.space != "acquired" or self.head:
            raise ValueError("space, head: the input lies on the scoring grid; remove the key")
        used = [label for labels in self.tissues.values() for label in labels]
        for label in used:
            if label == 0 or used.count(label) > 1:
                reason = "0 is the background" if label == 0 else f"{label} belongs to two tissues"
                raise ValueError(f"tissues: label {reason}")
        if self.result is not None and (
            PurePosixPath(self.result).is_absolute() or ".." in PurePosixPath(self.result).parts
        ):
            raise ValueError("result: give a path within {output}")
        return self


def read_segmentation_file(path: Path) -> SegmentationFile:
    """Read and check the TOML file of a segmentation program.

    Raises
    ------
    UserError
        In one line, if the file is wrong.
    """
    title = f"segmentation program {path.name}"
    return SegmentationFile.checked(read_toml(path, title), title)
