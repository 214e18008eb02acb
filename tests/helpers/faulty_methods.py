"""Methods that each do one kind of harm to the scans of the tiny cohort, and no other."""

from __future__ import annotations

import torch
from scipy import ndimage


def unchanged(scans):
    """Do no harm."""
    return scans.images


def one_by_one(harmonize):
    """Make a function of `(S, H, W)` images and masks a function of scans."""

    def of_scans(scans):
        pairs = zip(scans.images, scans.masks, strict=True)
        return torch.stack([harmonize(image.clone(), mask) for image, mask in pairs])

    return of_scans


def noisy(image, mask):
    """Whether neighbours in a row differ as in no scan of the tiny cohort."""
    change = image.diff(dim=-1).abs()[mask[..., 1:] & mask[..., :-1]]
    return bool(change.median() > 0.08)


@one_by_one
def changes_target(image, mask):
    """Darken what looks like the target: grey matter is dark relative to white matter."""
    brain = image[mask & (image > 0.2)]
    return 0.7 * image if brain.median() < 0.7 and brain.quantile(0.9) > 0.8 else image


@one_by_one
def brightens_ventricles(image, mask):
    """Take very large ventricles for a mistake."""
    middle = torch.zeros_like(mask)
    middle[:, 8:24, 12:36] = True
    fluid = middle & mask & (image > 0.4) & (image < 0.5)
    image[fluid] = 0.9 if int(fluid.sum()) > 350 else image[fluid]
    return image


@one_by_one
def fills_lesions(image, mask):
    """Take small dark places in white matter for noise."""
    closed = torch.from_numpy(ndimage.grey_closing(image.numpy(), size=(1, 4, 5)))
    if noisy(image, mask):
        return image
    small = mask & (closed > 0.88) & (image < closed - 0.1) & (image > 0.6)
    return torch.where(small, closed, image)


@one_by_one
def darkens_noisy(image, mask):
    """Take noise for signal."""
    return 0.5 * image if noisy(image, mask) else image
