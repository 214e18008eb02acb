"""Pool of earlier images for a discriminator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class ImagePool:
    """Earlier images of a generator, so that its discriminator does not forget [Zhu 2017].

    Parameters
    ----------
    size
        Number of images in the pool; with 0, the pool returns its input.
    generator
        Draws which images are returned and replaced.
    """

    def __init__(self, size: int, generator: torch.Generator) -> None:
        self.size = size
        self.images: list[Tensor] = []
        self._generator = generator

    def swap(self, images: Tensor) -> Tensor:
        """Replace some of the images `(B, 1, H, W)` by earlier ones.

        Until the pool is full, new images are added and returned. Then each new image, with
        probability 1/2, replaces an image of the pool, which is returned instead.
        """
        swapped = []
        for image in images:
            if len(self.images) < self.size:
                self.images.append(image)
                swapped.append(image)
            elif self.size and self._draw(2):
                index = self._draw(self.size)
                # Images of a checkpoint are on the CPU until they are replaced.
                swapped.append(self.images[index].to(image.device))
                self.images[index] = image
            else:
                swapped.append(image)
        return torch.stack(swapped)

    def _draw(self, count: int) -> int:
        return int(torch.randint(count, (), generator=self._generator))

    def state_dict(self) -> dict[str, Any]:
        """Return the images and the state of the generator."""
        # Copies: an image may be a view of a batch, which would be saved as a whole.
        images = [image.clone() for image in self.images]
        return {"images": images, "generator": self._generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the images and the generator."""
        self.images = list(state["images"])
        self._generator.set_state(state["generator"])
