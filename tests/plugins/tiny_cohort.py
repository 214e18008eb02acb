"""A cohort of blobs that is prepared in a moment: two sources, one of them paired.

It has a fifth of the slices of the preset's grid, and a quarter of their pixels. Methods that learn
something of every slice need all of them: `tiny:N-whole`.
"""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import torch

from harmbench import hookimpl, minmax
from harmbench.data.cohort_source import CohortSource
from harmbench.data.cohort_writer import CohortWriter, ScanRecord, write_row
from harmbench.data.splits import split_subjects
from harmbench.util.hashing import digest
from harmbench.util.seeds import numpy_generator

CURVES = {"goal": 1.0, "domain1": 0.6, "elsewhere": 1.6}


def coarse(grid):
    """A twentieth of the grid's voxels: scoring takes most of the time of tests of runs."""
    S, H, W = grid.shape
    thickness, height, width = grid.spacing
    spacing = (5 * thickness, 2 * height, 2 * width)
    return dataclasses.replace(grid, shape=(S // 5, H // 2, W // 2), spacing=spacing)


def blob(subject, grid):
    """Two nested ellipsoids with texture: `(S, H, W)` in [0, 1], labels and mask."""
    random = numpy_generator(0, "blob", subject)
    axes = [np.linspace(-1, 1, n) for n in grid.shape]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    a, b, c = random.uniform(0.6, 0.8, 3)
    radius = np.sqrt((z * 0.5 / a) ** 2 + (y / b) ** 2 + (x / c) ** 2)
    labels = (radius < 1) * 1 + (radius < 0.85) * 1 + (radius < 0.5) * 1
    image = np.asarray([0, 0.25, 0.6, 0.9])[labels] + 0.03 * random.standard_normal(grid.shape)
    mask = radius < 1
    return np.clip(image, 0.02, 1) * mask, labels.astype(np.uint8), mask


class Tiny(CohortSource):
    """Six subjects on both `goal` and `domain1`, or as many as the argument says."""

    name = "tiny"
    summary = "blobs, for tests"
    target = "goal"
    sources = ("domain1", "elsewhere")

    def __init__(self, argument=None, recipe=None, **preparation):
        super().__init__(argument, recipe, **preparation)
        # With `N-noage`, the first subject of each split has no age; `N-others` are other subjects;
        # `N-whole` has all slices.
        number, _, option = (argument or "6").partition("-")
        letters = "rs" if option == "others" else "pq"
        self.subjects = tuple(f"{letters[0]}{i}" for i in range(int(number)))
        self.strangers = tuple(f"{letters[1]}{i}" for i in range(4))
        self.without_age = option == "noage"
        self.whole = option == "whole"

    def key(self, grid, home):
        return digest("tiny", self.subjects, grid, self.without_age, self.whole)

    def prepare(self, grid, home, writer, progress):
        if os.environ.get("TINY_COHORT_MUST_NOT_BE_PREPARED"):
            raise AssertionError("prepared again")
        key = self.key(grid, home)
        grid = grid if self.whole else coarse(grid)
        writer = CohortWriter(writer.directory, grid)
        subjects = {"goal": self.subjects, "domain1": self.subjects, "elsewhere": self.strangers}
        splits = split_subjects(subjects, validation=0.2, test=0.3)
        first = {split: name for name, split in reversed(splits.items())}
        lacking = set(first.values()) if self.without_age else set()
        records = []
        for domain, names in subjects.items():
            folder = writer.begin_domain(domain, len(names), labelled=True)
            for row, subject in enumerate(progress.track(names, f"blobs of {domain}")):
                image, labels, mask = blob(subject, grid)
                shown = minmax(torch.from_numpy(image ** CURVES[domain]).float())
                write_row(folder, "images", row, shown.numpy())
                write_row(folder, "labels", row, labels)
                write_row(folder, "masks", row, mask)
                records.append(
                    ScanRecord(
                        domain=domain,
                        subject=subject,
                        session="1",
                        row=row,
                        key=digest(domain, subject, grid),
                        split=splits[subject],
                        labelled=True,
                        paired=domain != "elsewhere",
                        covariates={
                            "sex": "FM"[int(subject[1:]) % 2],
                            **({} if subject in lacking else {"age": 20.0 + int(subject[1:])}),
                        },
                    )
                )
        writer.finish(
            name="tiny",
            key=key,
            kind="simulated",
            target=self.target,
            sources=self.sources,
            records=records,
            left_out={},
        )


@hookimpl
def register_cohorts():
    return {"tiny": Tiny}
