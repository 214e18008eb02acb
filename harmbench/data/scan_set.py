"""A lazy collection of prepared scans, read from their files when they are used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from harmbench.data.covariate_values import by_scan, covariates_digest, lacking, rows_at
from harmbench.data.prepared_volume import PreparedVolume
from harmbench.data.scan_files import ScanFiles, read_scans, read_slices
from harmbench.data.scans import Grid, Scans
from harmbench.data.slice_indices import SliceIndices, slice_indices
from harmbench.data.transform import Transform
from harmbench.data.transformed_volume import TransformedVolume
from harmbench.data.volumes import VolumeSet, VolumeSource, VolumeSpace, VolumeTransform
from harmbench.errors import BlindnessError
from harmbench.util.hashing import digest
from harmbench.util.source_code import code_version


@dataclass(frozen=True)
class ScanKey:
    """Which scan this is, and the hashes of everything its image and its labels depend on."""

    subject: str
    session: str
    key: str
    labels: str = ""


@dataclass(frozen=True, kw_only=True)
class ScanSet:
    """An ordered collection of one domain's scans; scans are read when they are used.

    It holds the files of its own scans and of no others. Neither the files nor the transform
    are public: methods receive scan sets, and must reach neither other scans nor a formula.

    Attributes
    ----------
    domain
        Name of the domain.
    grid
        The grid all scans lie on.
    scans
        Subject, session and content hash of each scan.
    covariates
        The covariates that a method declares, one row per scan: float64 for numbers, categories
        for texts. None for a method that declares none, and in the data of tasks.
    """

    domain: str
    grid: Grid
    scans: tuple[ScanKey, ...]
    _files: tuple[ScanFiles, ...] = field(repr=False)
    _transform: Transform | None = field(default=None, repr=False)
    # Position of each scan when the transform was set: its parameters belong to positions.
    _positions: tuple[int, ...] = field(default=(), repr=False)
    # The whole scans; empty where a scan has no volume but its prepared slices.
    _volumes: tuple[VolumeSource, ...] = field(default=(), repr=False)
    # What is read instead of the whole scans: images of a submission.
    _substitutes: tuple[VolumeSource, ...] = field(default=(), repr=False)
    covariates: pd.DataFrame | None = field(default=None, repr=False, compare=False)
    # All covariates of the cohort; never in what a method receives.
    _known: pd.DataFrame | None = field(default=None, repr=False, compare=False)

    @classmethod
    def stored(
        cls,
        folder: Path,
        *,
        domain: str,
        grid: Grid,
        scans: Sequence[ScanKey],
        rows: Sequence[int] | None = None,
        labelled: bool = False,
        volumes: Sequence[VolumeSource] = (),
        covariates: pd.DataFrame | None = None,
    ) -> Self:
        """Return scans of a domain's folder, as `CohortWriter.begin_domain` makes it.

        Parameters
        ----------
        folder
            Folder of the domain.
        domain, grid, scans
            As the attributes.
        rows
            Number of each scan in the folder; 0 to N - 1 if None.
        labelled
            Whether all scans have labels.
        volumes
            The whole scans, in the same order; none if there are only the prepared slices.
        covariates
            What is known of the scans, one row for each: of `typed_columns`.
        """
        rows = range(len(scans)) if rows is None else rows
        files = tuple(ScanFiles.of(folder, row, labelled=labelled) for row in rows)
        return cls(
            domain=domain,
            grid=grid,
            scans=tuple(scans),
            _files=files,
            _volumes=tuple(volumes),
            _known=None if covariates is None else covariates.reset_index(drop=True),
        )

    def __len__(self) -> int:
        return len(self.scans)

    @property
    def subjects(self) -> tuple[str, ...]:
        """The subject of each scan."""
        return tuple(scan.subject for scan in self.scans)

    @property
    def labelled(self) -> bool:
        """Whether there are scans, and all have tissue labels."""
        return bool(self._files) and all(files.labels is not None for files in self._files)

    @property
    def n_slices(self) -> int:
        """Number of slices of all scans together."""
        return len(self) * self.grid.shape[0]

    @property
    def digest(self) -> str:
        """Content hash of the prepared voxels, the order of the scans and the transform."""
        transform = None
        if self._transform is not None:
            transform = (self._transform.digest, self._positions)
        parts = ["scans", self.grid, self.scans, self.labelled, transform]
        if self.covariates is not None:
            parts.append(covariates_digest(self.covariates))
        return digest(*parts)

    @property
    def code(self) -> str:
        """Hash of the transform's code; empty without a transform."""
        return "" if self._transform is None else code_version(type(self._transform))

    def with_transform(self, transform: Transform) -> Self:
        """Return the same scans with `transform` applied whenever they are read.

        Raises
        ------
        ValueError
            If the scans have a transform: the second would replace it.
        """
        if self._transform is not None:
            raise ValueError(f"the scans of '{self.domain}' have a transform, which is final")
        return replace(self, _transform=transform, _positions=tuple(range(len(self))))

    @property
    def is_shifted(self) -> bool:
        """Whether the images are simulated: scans with a transform."""
        return self._transform is not None

    def with_volumes(self, volumes: Sequence[VolumeSource]) -> Self:
        """Return the same scans with other whole volumes, one for each scan in order.

        The slices and the digest stay: images of a submission are read in place of the scans.
        """
        return replace(self, _substitutes=tuple(volumes))

    @property
    def substitutes(self) -> tuple[VolumeSource, ...]:
        """The volumes of `with_volumes`; empty without them."""
        return self._substitutes

    def renamed(self, domain: str) -> Self:
        """Return the same scans under another name of the domain."""
        return replace(self, domain=domain)

    def without_labels(self) -> Self:
        """Return the same scans without their labels, in content and in digest."""
        return replace(
            self,
            scans=tuple(replace(scan, labels="") for scan in self.scans),
            _files=tuple(replace(files, labels=None) for files in self._files),
        )

    def lacking(self, names: Sequence[str]) -> dict[str, list[int]]:
        """Return the places of the scans without a value of a covariate, by covariate."""
        return lacking(self._all_covariates, names, len(self))

    def complete(self, names: Sequence[str]) -> Self:
        """Return the scans that have a value of all these covariates."""
        missing = {place for places in self.lacking(names).values() for place in places}
        return self.subset([i for i in range(len(self)) if i not in missing]) if missing else self

    @property
    def _all_covariates(self) -> pd.DataFrame | None:
        return self.covariates if self._known is None else self._known

    def with_covariates(self, names: Sequence[str]) -> Self:
        """Return the same scans with some covariates, and with no way to the others.

        Raises
        ------
        BlindnessError
            If they were left out before, for a method that does not declare them.
        ValueError
            If a scan lacks a value: see `lacking`.
        """
        if not names:
            return replace(self, covariates=None, _known=None)
        known = self._all_covariates
        withheld = [name for name in names if known is None or name not in known]
        if known is None or withheld:
            raise BlindnessError(
                f"the scans of '{self.domain}' come without the covariate '{withheld[0]}'; declare "
                "it in `covariates` of the method and of each method that is built on it"
            )
        chosen = known[list(names)]
        if bool(chosen.isna().to_numpy().any()):
            raise ValueError(f"scans of '{self.domain}' lack a value of {', '.join(names)}")
        return replace(self, covariates=chosen, _known=None)

    def subset(self, places: Sequence[int]) -> Self:
        """Return the scans at `places`; each keeps its own transform."""
        return replace(
            self,
            scans=tuple(self.scans[i] for i in places),
            _files=tuple(self._files[i] for i in places),
            _positions=tuple(self._positions[i] for i in places) if self._transform else (),
            _volumes=tuple(self._volumes[i] for i in places) if self._volumes else (),
            _substitutes=tuple(self._substitutes[i] for i in places) if self._substitutes else (),
            covariates=rows_at(self.covariates, places),
            _known=rows_at(self._known, places),
        )

    def load(self, places: Sequence[int]) -> Scans:
        """Read the scans at `places` into memory."""
        images = torch.from_numpy(self._read("images", places))
        masks = torch.from_numpy(self._read("masks", places))
        labels = torch.from_numpy(self._read("labels", places)) if self.labelled else None
        if self._transform is not None:
            N, S, H, W = images.shape
            scan = torch.tensor([self._positions[i] for i in places]).repeat_interleave(S)
            index = torch.arange(S).repeat(N)
            flat = self._transform(images.view(-1, H, W), masks.view(-1, H, W), scan, index)
            images = flat.view(N, S, H, W)
        return Scans(
            images=images,
            masks=masks,
            subjects=tuple(self.scans[i].subject for i in places),
            sessions=tuple(self.scans[i].session for i in places),
            positions=torch.tensor(self.grid.positions, dtype=torch.float32),
            labels=labels,
        )

    def volumes(self, space: VolumeSpace) -> VolumeSet:
        """Return the whole scans in the same order, each read when it is used.

        Scans of a cohort without volumes on disk are stacks of their prepared slices.

        Parameters
        ----------
        space
            The space that they are read in, such as the method's own.

        Raises
        ------
        ValueError
            If `no_volumes` gives a reason.
        """
        reason = self.no_volumes(space)
        if reason is not None:
            raise ValueError(f"the scans of '{self.domain}' {reason}")
        names = [
            {
                "subject": scan.subject,
                "session": scan.session,
                "domain": self.domain,
                "covariates": covariates,
            }
            for scan, covariates in zip(
                self.scans, by_scan(self.covariates, len(self)), strict=True
            )
        ]
        return VolumeSet(space, [self._volume(place) for place in range(len(self))], names)

    def no_volumes(self, space: VolumeSpace) -> str | None:
        """Return why the scans cannot be read as volumes of a space; None if they can."""
        if self._substitutes:
            return None
        if space.head:
            without = sum(not volume.has_head for volume in self._volumes)
            if not self._volumes or without:
                return f"are brain-extracted: {without or len(self)} of {len(self)}"
        if self._volumes and not isinstance(self._transform, VolumeTransform | None):
            return "have a shift that is defined on slices only"
        if space.head and self._transform is not None:
            return "have a shift that is defined inside the brain only"
        return None

    def prepared_volume(self, place: int) -> VolumeSource:
        """Return the volume that is the stack of a scan's prepared slices."""
        return PreparedVolume(grid=self.grid, _load=lambda: self._stack(place))

    def acquired_volume(self, place: int) -> VolumeSource | None:
        """Return the whole scan in the acquired space.

        None if there is no volume on disk, or if the shift is defined on slices only.
        """
        if not self._volumes or self.no_volumes(VolumeSpace()) is not None:
            return None
        return self._volume(place)

    def _volume(self, place: int) -> VolumeSource:
        if self._substitutes:
            return self._substitutes[place]
        if not self._volumes:
            return self.prepared_volume(place)
        if self._transform is None:
            return self._volumes[place]
        assert isinstance(self._transform, VolumeTransform)
        return TransformedVolume(
            grid=self.grid,
            _source=self._volumes[place],
            _transform=self._transform,
            _scan=self._positions[place],
        )

    def _stack(self, place: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Read the slices of a scan, `(S, H, W)`, and its mask."""
        scans = self.load([place])
        return scans.images[0].numpy(), scans.masks[0].numpy()

    def batches(self, size: int = 1) -> Iterator[Scans]:
        """Read all scans in order, `size` at a time, so that memory does not grow with N."""
        for start in range(0, len(self), size):
            yield self.load(range(start, min(start + size, len(self))))

    def slices(self, indices: SliceIndices) -> Tensor:
        """Read slices by their flat index `scan * S + slice`.

        Parameters
        ----------
        indices
            B whole numbers in [0, n_slices): a tensor, an array or any sequence.

        Returns
        -------
        Tensor
            `(B, H, W)` float32 in [0, 1].

        Raises
        ------
        IndexError
            If they are no whole numbers, or outside this range.
        """
        indices = slice_indices(indices, self.n_slices)
        images = torch.from_numpy(self._read_slices("images", indices))
        if self._transform is not None:
            S = self.grid.shape[0]
            masks = torch.from_numpy(self._read_slices("masks", indices))
            scan = torch.tensor(self._positions)[indices // S]
            images = self._transform(images, masks, scan, indices % S)
        return images

    def label_slices(self, indices: SliceIndices) -> Tensor:
        """Read the labels of slices by their flat index; see `slices`.

        Returns
        -------
        Tensor
            `(B, H, W)` uint8, as `Scans.labels`.

        Raises
        ------
        ValueError
            If the scans are not labelled.
        """
        if not self.labelled:
            raise ValueError(f"scans of '{self.domain}' have no labels")
        return torch.from_numpy(self._read_slices("labels", slice_indices(indices, self.n_slices)))

    def _paths(self, name: str, places: Sequence[int]) -> list[Path]:
        return [getattr(self._files[i], name) for i in places]

    def _read(self, name: str, places: Sequence[int]) -> npt.NDArray[Any]:
        return read_scans(self._paths(name, places), name, self.grid.shape)

    def _read_slices(self, name: str, indices: Tensor) -> npt.NDArray[Any]:
        S = self.grid.shape[0]
        paths = self._paths(name, (indices // S).tolist())
        return read_slices(paths, (indices % S).tolist(), name, self.grid.shape)
