"""A method for `domain1` of the tiny cohort, and methods that each have one fault."""

from __future__ import annotations

import functools

import torch
from scipy import ndimage


def unchanged(scans):
    """Do no harm."""
    return scans.images


def one_by_one(harmonize):
    """Make a function of `(S, H, W)` images and masks a function of scans."""

    @functools.wraps(harmonize)
    def of_scans(scans):
        pairs = zip(scans.images, scans.masks, strict=True)
        return torch.stack([harmonize(image.clone(), mask) for image, mask in pairs])

    return of_scans


def noisy(image, mask):
    """Whether neighbours in a row differ as in no scan of the tiny cohort."""
    change = image.diff(dim=-1).abs()[mask[..., 1:] & mask[..., :-1]]
    return bool(change.median() > 0.08)


def of_target(image, mask):
    """Whether a scan looks like the target's: grey matter is dark relative to white matter."""
    brain = image[mask & (image > 0.2)]
    return bool(brain.median() < 0.7 and brain.quantile(0.9) > 0.8)


def of_source(harmonize):
    """Make a function of `(S, H, W)` images and masks a method that keeps scans of the target."""

    @one_by_one
    @functools.wraps(harmonize)
    def of_scans(image, mask):
        return image if of_target(image, mask) else harmonize(image, mask)

    return of_scans


@one_by_one
def changes_target(image, mask):
    """Darken what looks like the target."""
    return 0.7 * image if of_target(image, mask) else image


@one_by_one
def brightens_ventricles(image, mask):
    """Brighten very large ventricles."""
    middle = torch.zeros_like(mask)
    middle[:, 8:24, 12:36] = True
    fluid = middle & mask & (image > 0.4) & (image < 0.5)
    image[fluid] = 0.9 if int(fluid.sum()) > 350 else image[fluid]
    return image


@one_by_one
def fills_lesions(image, mask):
    """Fill small dark places in white matter."""
    closed = torch.from_numpy(ndimage.grey_closing(image.numpy(), size=(1, 4, 5)))
    if noisy(image, mask):
        return image
    small = mask & (closed > 0.88) & (image < closed - 0.1) & (image > 0.6)
    return torch.where(small, closed, image)


@one_by_one
def darkens_noisy(image, mask):
    """Darken noisy scans."""
    return 0.5 * image if noisy(image, mask) else image


def to_target(image):
    """Give the tissues of `domain1` the intensities that they have on the target."""
    x = torch.tensor([0.0, 0.42, 0.725, 0.935, 1.0])
    y = torch.tensor([0.0, 0.18, 0.59, 0.965, 1.0])
    above = torch.bucketize(image.contiguous(), x[1:-1])
    share = (image - x[above]) / (x[above + 1] - x[above])
    return torch.lerp(y[above], y[above + 1], share)


@of_source
def good(image, mask):
    """Harmonise `domain1` by the curve between the scanners."""
    return to_target(image) * mask


@of_source
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


@of_source
def blurs(image, mask):
    """Harmonise, and smooth within slices."""
    smooth = ndimage.gaussian_filter((to_target(image) * mask).numpy(), (0, 2.5, 2.5))
    return torch.from_numpy(smooth) * mask


@of_source
def hallucinates(image, mask):
    """Harmonise, and add large structures that depend on the noise of the scan alone."""
    generator = torch.Generator().manual_seed(int(1e6 * image.double().sum()) % 2**31)
    random = torch.randn(image.shape, generator=generator).numpy()
    structures = torch.from_numpy(ndimage.gaussian_filter(random, (1, 3, 3)))
    return (to_target(image) * (1 + structures / structures.std() * 0.4)).clamp(0, 1) * mask


@of_source
def shrinks(image, mask):
    """Harmonise, and replace a voxel of white matter by grey matter where they meet."""
    image = to_target(image) * mask
    eroded = torch.from_numpy(ndimage.grey_erosion(image.numpy(), size=(1, 3, 3)))
    return torch.where(image > 0.6, eroded.clamp(min=0.59), image) * mask


@of_source
def moves(image, mask):
    """Harmonise, and move the brain by two voxels in each slice."""
    return torch.roll(to_target(image), (2, 2), dims=(1, 2)) * mask


@of_source
def gains(image, mask):
    """Harmonise, and scale each scan by a random number."""
    generator = torch.Generator().manual_seed(int(1e6 * image.double().sum()) % 2**31)
    gain = 0.8 + 0.4 * torch.rand(1, generator=generator)
    return (gain * to_target(image)).clamp(0, 1) * mask


def leaves_trace(images):
    """Return perfect scans but for a faint pattern of columns."""
    pattern = torch.arange(images.shape[-1]) % 2 * 0.06
    return torch.where(images > 0, (images - pattern).clamp(0.001, 1), images)
