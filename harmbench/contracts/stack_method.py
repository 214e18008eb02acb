"""The contract of a method that changes slices beyond the grid by an estimate from the grid."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

import torch
from torch import Tensor

from harmbench.contracts.method import Method
from harmbench.data.scans import Scans
from harmbench.errors import ContractError

# Largest distance of a slice from the grid's, as a fraction of the slice spacing.
_TOLERANCE = 0.01


class StackMethod(Method):
    """A harmonisation method that estimates its change once for each scan.

    A scan is estimated from the slices on the grid, as in the benchmark. The estimate is applied
    to a *stack*: the grid's slices, and any number of slices below and above them at the same
    spacing. So `harmbench harmonize` applies one estimate to a whole brain. Any other method
    receives the whole brain in many windows of as many slices as the grid has, one by one.

    An author defines `forward_stack` in place of `forward`.
    """

    @abstractmethod
    def forward_stack(self, scans: Scans, stack: Scans) -> Scans:
        """Harmonise the stacks of N scans.

        The result on a slice must not depend on the slices beyond the grid that the stack
        contains.

        Parameters
        ----------
        scans
            The slices on the grid: images `(N, S, H, W)` float32 in [0, 1], as in
            `Method.forward`; read only.
        stack
            The same scans with K >= S slices `(N, K, H, W)`, of which `scans` are a part; read
            only. `stack.positions` gives the MNI152 z of each slice. Slices beyond the grid are
            normalised like the grid's. In the benchmark, `stack` is `scans`.

        Returns
        -------
        Scans
            Images of the stack's shape and type, in [0, 1]: `stack.with_images(...)`.
        """

    def nearest_slices(self, stack: Scans) -> Tensor:
        """Return the index of the grid's slice that is nearest to each slice of a stack.

        An estimate for each slice of the grid extends to slices beyond it by this index: they
        receive that of the first or of the last slice, because the grid says nothing about more
        distant ones.

        Returns
        -------
        Tensor
            `(K,)` int64, ascending, in [0, S - 1].
        """
        return self._index(stack.positions).clamp(0, self.grid.shape[0] - 1)

    def _index(self, positions: Tensor) -> Tensor:
        """Return the index `(K,)` that slices would have on a grid without ends."""
        steps = (positions - self.grid.positions[0]) / self.grid.spacing[0]
        return steps.round().long()

    def forward(self, scans: Scans) -> Scans:
        """Harmonise N scans, or their stacks, by `forward_stack`.

        Scans with no more slices than the grid are estimated from all of their slices.

        Raises
        ------
        ContractError
            If a stack does not contain all slices of the grid, or has another spacing.
        """
        S, K = self.grid.shape[0], scans.images.shape[1]
        if K <= S:
            return self.forward_stack(scans, scans)
        first = -int(self._index(scans.positions[:1]))
        expected = self.grid.positions[0] + self.grid.spacing[0] * (torch.arange(K) - first)
        distance = (scans.positions.cpu() - expected).abs().max()
        if not 0 <= first <= K - S or float(distance) > _TOLERANCE * self.grid.spacing[0]:
            raise ContractError(
                f"expected the {S} slices of the grid, and others at their spacing; got {K} slices "
                f"at z of {float(scans.positions[0]):g} to {float(scans.positions[-1]):g} mm"
            )
        own = slice(first, first + S)
        on_grid = replace(
            scans,
            images=scans.images[:, own],
            masks=scans.masks[:, own],
            positions=scans.positions[own],
        )
        return self.forward_stack(on_grid, scans)
