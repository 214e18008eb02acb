"""3x3 convolution with a quarter of the multiplications, in plain matrix products.

Winograd's algorithm F(4 x 4, 3 x 3) as in Lavin & Gray 2016, "Fast Algorithms for
Convolutional Neural Networks", section 4: with d a 6 x 6 tile of one input channel and g a
filter, the 4 x 4 outputs are

    Y = A^T [ sum over channels of (G g G^T) * (B^T d B) ] A,

where * is element by element. So for each of the 36 elements the sum over channels is a
matrix product over all tiles, and a transform of both axes is one product with a Kronecker
product: B^T d B is (B^T x B^T) d with d as a vector.

Tiles go through in chunks that stay in the cache.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

# For the points 0, 1, -1, 2, -2 and infinity.
_B = torch.tensor(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    dtype=torch.float64,
)
_G = torch.tensor(
    [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]],
    dtype=torch.float64,
).div(24)
_A = torch.tensor(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
    dtype=torch.float64,
)
INPUT, FILTER, OUTPUT = (torch.kron(matrix, matrix) for matrix in (_B, _G, _A))
# The element at the point (1, 1), which adds to each of the 16 outputs as it is.
_ONE = 7
# Tiles at once: with 96 channels each of two buffers is 1.8 MiB.
_TILES = 132


class _Chunk(NamedTuple):
    """Some rows of tiles of one image, or all of some images."""

    images: slice
    first: int
    rows: int
    columns: int

    @property
    def tiles(self) -> int:
        """How many they are."""
        return math.prod(self.grid)

    @property
    def grid(self) -> tuple[int, int, int]:
        """Images, and rows and columns of tiles in each."""
        images: int = self.images.stop - self.images.start
        return images, self.rows, self.columns


def _chunks(images: int, rows: int, columns: int) -> Iterator[_Chunk]:
    """Divide all tiles into chunks, none of which is larger than the first."""
    if rows * columns > _TILES:
        parts = -(-rows // max(1, _TILES // columns))
        step = -(-rows // parts)
        for n in range(images):
            for first in range(0, rows, step):
                yield _Chunk(slice(n, n + 1), first, min(step, rows - first), columns)
    else:
        parts = -(-images // max(1, _TILES // (rows * columns)))
        step = -(-images // parts)
        for n in range(0, images, step):
            yield _Chunk(slice(n, min(n + step, images)), 0, rows, columns)


def _tiling(H: int, W: int) -> tuple[int, int]:
    """Return how many rows and columns of tiles cover an image."""
    return -(-H // 4), -(-W // 4)


class _Workspace(threading.local):
    """Memory for intermediate results, a few MiB, allocated once for all calls of a thread."""

    memory: Tensor = torch.empty(0)

    def take(self, like: Tensor, *sizes: int) -> tuple[Tensor, ...]:
        """Return vectors of the given numbers of elements; valid until the next call."""
        total = sum(sizes)
        if len(self.memory) < total or self.memory.dtype != like.dtype:
            self.memory = like.new_empty(total)
        return self.memory[:total].split_with_sizes(sizes)


_WORKSPACE = _Workspace()


def _input_tiles(x: Tensor, chunk: _Chunk, memory: Tensor) -> Tensor:
    """View the chunk's tiles of x `(B, H, W, C)`, zero beyond its border: `(6, 6, *grid, C)`."""
    _, _, W, C = x.shape
    count, rows, columns = chunk.grid
    top, bottom = 4 * chunk.first - 1, 4 * (chunk.first + rows) + 1
    shape = (count, 4 * rows + 2, 4 * columns + 2, C)
    padded = memory[: math.prod(shape)].view(shape).zero_()
    part = x[chunk.images, max(top, 0) : bottom]
    start = max(-top, 0)
    padded[:, start : start + part.shape[1], 1 : W + 1] = part
    image, row, column, _ = padded.stride()
    strides = (row, column, image, 4 * row, 4 * column, 1)
    return padded.as_strided((6, 6, *chunk.grid, C), strides, padded.storage_offset())


def _output_tiles(y: Tensor, chunk: _Chunk) -> Tensor:
    """View the chunk's tiles of y `(B, H, W, D)`, H and W divisible by 4: `(4, 4, *grid, D)`."""
    part = y[chunk.images, 4 * chunk.first : 4 * (chunk.first + chunk.rows)]
    count, rows, columns = chunk.grid
    image, row, column, _ = part.stride()
    strides = (row, column, image, 4 * row, 4 * column, part.stride(3))
    shape = (4, 4, count, rows, columns, part.shape[3])
    return part.as_strided(shape, strides, part.storage_offset())


def _sizes(chunk: _Chunk, C: int, D: int) -> tuple[int, int, int]:
    """Return the elements of a chunk's padded input, of all its tiles and of the filters."""
    count, rows, columns = chunk.grid
    padded = count * (4 * rows + 2) * (4 * columns + 2) * C
    return padded, 36 * chunk.tiles * max(C, D), 36 * C * D


def convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve x `(B, H, W, C)` with weight `(D, C, 3, 3)`: `(B, H, W, D)`; zero padding."""
    B, H, W, C = x.shape
    D, (rows, columns) = len(weight), _tiling(H, W)
    y = x.new_empty(B, 4 * rows, 4 * columns, D)
    chunks = list(_chunks(B, rows, columns))
    padded, tiles, filters = _sizes(chunks[0], C, D)
    border, buffer_1, buffer_2, U = _WORKSPACE.take(x, padded, tiles, tiles, filters)
    U = _filters(weight.permute(2, 3, 1, 0), U)
    into, out_of = INPUT.to(x), OUTPUT.to(x)
    for chunk in chunks:
        T = chunk.tiles
        d = buffer_1[: 36 * T * C].view(36, -1)
        d.view(6, 6, *chunk.grid, C).copy_(_input_tiles(x, chunk, border))
        V = torch.mm(into, d, out=buffer_2[: 36 * T * C].view(36, -1)).view(36, T, C)
        M = torch.bmm(V, U, out=buffer_1[: 36 * T * D].view(36, T, D))
        M[_ONE] += bias
        Y = torch.mm(out_of, M.view(36, -1), out=buffer_2[: 16 * T * D].view(16, -1))
        _output_tiles(y, chunk).copy_(Y.view(4, 4, *chunk.grid, D))
    return y[:, :H, :W].contiguous()


def _filters(g: Tensor, out: Tensor) -> Tensor:
    """Transform filters `(3, 3, C, D)` to `(36, C, D)`."""
    torch.mm(FILTER.to(g), g.reshape(9, -1), out=out.view(36, -1))
    return out.view(36, *g.shape[2:])


def gradients(
    x: Tensor, weight: Tensor, d_y: Tensor, *, trained: bool = True
) -> tuple[Tensor, Tensor | None]:
    """Return d loss / dx and, if `trained`, d loss / d weight, given d loss / dy.

    Each is the transpose of a step of `convolve`: the sum over tiles is a product for each
    element, too, and tiles of d loss / dx add up where they overlap.
    """
    B, H, W, C = x.shape
    D, (rows, columns) = len(weight), _tiling(H, W)
    d_x, d_weight = x.new_empty(B, H, W, C), torch.empty_like(weight)
    if (4 * rows, 4 * columns) != (H, W):
        d_y = F.pad(d_y, (0, 0, 0, 4 * columns - W, 0, 4 * rows - H))
    chunks = list(_chunks(B, rows, columns))
    padded, tiles, filters = _sizes(chunks[0], C, D)
    # Gradients of the images of one chunk, with the border that their tiles reach into.
    shape = (chunks[0].grid[0], 4 * rows + 2, 4 * columns + 2, C)
    sizes = (padded, tiles, tiles, tiles, filters, filters, math.prod(shape))
    border, buffer_1, buffer_2, buffer_3, U, d_U, d_padded = _WORKSPACE.take(x, *sizes)
    d_padded = d_padded.view(shape)
    U, d_U = _filters(weight.permute(2, 3, 0, 1), U), d_U.zero_().view(36, D, C)
    into, back, out_of = INPUT.to(x), INPUT.t().to(x), OUTPUT.t().to(x)
    image, row, column, _ = d_padded.stride()
    for chunk in chunks:
        T = chunk.tiles
        if chunk.first == 0:
            d_padded.zero_()
        d_Y = buffer_1[: 16 * T * D].view(16, -1)
        d_Y.view(4, 4, *chunk.grid, D).copy_(_output_tiles(d_y, chunk))
        d_M = torch.mm(out_of, d_Y, out=buffer_3[: 36 * T * D].view(36, -1)).view(36, T, D)
        if trained:
            d = buffer_1[: 36 * T * C].view(36, -1)
            d.view(6, 6, *chunk.grid, C).copy_(_input_tiles(x, chunk, border))
            V = torch.mm(into, d, out=buffer_2[: 36 * T * C].view(36, -1)).view(36, T, C)
            d_U.baddbmm_(d_M.transpose(1, 2), V)
        d_V = torch.bmm(d_M, U, out=buffer_1[: 36 * T * C].view(36, T, C))
        d_d = torch.mm(back, d_V.view(36, -1), out=buffer_2[: 36 * T * C].view(36, -1))
        d_tiles = d_d.view(6, 6, *chunk.grid, C).permute(2, 3, 0, 4, 1, 5)
        corner = d_padded.storage_offset() + 4 * chunk.first * row
        count, high, wide = chunk.grid
        # A tile's inner 4 x 4 lies apart from other tiles', and so does each of its edges.
        for top, height in ((0, 4), (4, 2)):
            for left, width in ((0, 4), (4, 2)):
                target = d_padded.as_strided(
                    (count, high, height, wide, width, C),
                    (image, 4 * row, row, 4 * column, column, 1),
                    corner + top * row + left * column,
                )
                target += d_tiles[:, :, top : top + height, :, left : left + width]
        if chunk.first + chunk.rows == rows:
            d_x[chunk.images] = d_padded[: chunk.grid[0], 1 : H + 1, 1 : W + 1]
    if not trained:
        return d_x, None
    taps = (FILTER.t().to(weight) @ d_U.view(36, -1)).view(3, 3, D, C)
    return d_x, d_weight.copy_(taps.permute(2, 3, 0, 1))
