"""A method for `domain1` of the tiny cohort, and methods that each have one fault."""

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


def to_target(image):
    """Give the tissues of `domain1` the intensities that they have on the target."""
    x = torch.tensor([0.0, 0.42, 0.725, 0.935, 1.0])
    y = torch.tensor([0.0, 0.18, 0.59, 0.965, 1.0])
    above = torch.bucketize(image.contiguous(), x[1:-1])
    share = (image - x[above]) / (x[above + 1] - x[above])
    return torch.lerp(y[above], y[above + 1], share)


@one_by_one
def good(image, mask):
    """Harmonise `domain1` by the curve between the scanners."""
    return to_target(image) * mask


@one_by_one
def equalizes(image, mask):
    """Give all scans one histogram, whatever their shares of tissues."""
    values = to_target(image)[mask]
    ranks = values.argsort().argsort() / len(values)
    shares = torch.tensor([0.0, 0.3, 0.35, 0.75, 0.8, 1.0])
    levels = torch.tensor([0.1, 0.16, 0.59, 0.6, 0.96, 1.0])
    above = torch.bucketize(ranks, shares[1:-1])
    part = (ranks - shares[above]) / (shares[above + 1] - shares[above])
    image[mask] = torch.lerp(levels[above], levels[above + 1], part)
    return image


@one_by_one
def blurs(image, mask):
    """Harmonise, and smooth within slices."""
    smooth = ndimage.gaussian_filter((to_target(image) * mask).numpy(), (0, 2.5, 2.5))
    return torch.from_numpy(smooth) * mask


@one_by_one
def hallucinates(image, mask):
    """Harmonise, and add large structures that depend on the noise of the scan alone."""
    generator = torch.Generator().manual_seed(int(1e6 * image.double().sum()) % 2**31)
    random = torch.randn(image.shape, generator=generator).numpy()
    structures = torch.from_numpy(ndimage.gaussian_filter(random, (1, 3, 3)))
    return (to_target(image) * (1 + structures / structures.std() * 0.4)).clamp(0, 1) * mask
