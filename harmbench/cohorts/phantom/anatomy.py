"""The anatomy of a subject: tissue fractions and properties on a lattice.

A subject is drawn once (`harmbench.cohorts.phantom.subject`) and turned into voxels on any grid
by pure functions. What makes subjects differ:

- size and shape of the head, and a smooth deformation at the scales of lobes, gyri and
  sulci, which also breaks the left-right symmetry of the template;
- folding: the template's tissue probabilities, sharpened, with smooth random fields
  added to their logits, so that what is uncertain in an average over subjects (where a
  sulcus lies, how far a blade of white matter reaches) is decided for this subject;
- age: ventricles and sulci widen, the cortex thins, lesions appear;
- T1, water content and iron, per subject and slowly from place to place.

Arrays are `(D, H, W)` along MNI152 z, x and y, as in `harmbench.data.scans.Grid`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from harmbench.cohorts.phantom.deformation import flow
from harmbench.cohorts.phantom.lattice import Lattice, sample
from harmbench.cohorts.phantom.lesions import paint_lesions
from harmbench.cohorts.phantom.subject import Subject
from harmbench.cohorts.phantom.template import FAR, TissueTemplate, depth

# Tissues of `Anatomy.fractions`, in order: keys of `TISSUES`.
TISSUE_NAMES = ("csf", "gm", "wm", "lesion", "meninges")

_SHARPNESS = 2.8  # of the tissue logits: partial volume within about one voxel
_FLOOR = 0.02  # probability that any tissue keeps everywhere, so that fields can act
_VENTRICLES = ((14.0, 0.0, -12.0), (24.0, 26.0, 42.0))  # centre and widths in mm; z, x, y
_DEEP_GREY = ((4.0, 0.0, -6.0), (14.0, 26.0, 24.0))
_CENTRE = (18.0, 0.0, -17.0)  # of the rotation and scale that registration leaves over

# Velocity of the deformation in mm at the scales of lobes, gyri and sulci. Where a sulcus
# lies after affine registration varies by several mm between subjects (Thompson et al.,
# J Neurosci 1996;16:4261: standard deviations of 3 to 10 mm, in Talairach space).
_LOBES, _GYRI, _SULCI = 1.5, 1.1, 0.9

_FOLDING = 0.5  # standard deviation of what is added to the logits of tissues
_MEMBRANES = 0.4  # fraction of the subarachnoid space at the surface that is not fluid

_EDGE = 3.0  # mm over which the brain's surface is soft


class Anatomy(NamedTuple):
    """The head of a subject on a lattice, as far as a scan of the brain may show it.

    Attributes
    ----------
    fractions
        `(5, D, H, W)`: fractions of the voxel of the `TISSUE_NAMES`, which add to 1 inside
        the brain, and beyond the dura to 0, as bone and air give no signal. The meninges
        are the dura outside, and vessels and arachnoid in the sulci.
    brain
        `(D, H, W)` in [0, 1]: what is left when the skull is taken off without error.
    depth
        `(D, H, W)`: distance to the surface of the brain in mm, positive inside.
    t1
        `(2, D, H, W)`: factors on the T1 of GM and WM.
    water
        `(D, H, W)`: factor on the water content of GM and WM.
    iron
        `(D, H, W)`: increase of the R2* of GM at 3 T, in 1/s.
    """

    fractions: Tensor
    brain: Tensor
    depth: Tensor
    t1: Tensor
    water: Tensor
    iron: Tensor


def bump(lattice: Lattice, region: tuple[Sequence[float], Sequence[float]]) -> Tensor:
    """Return a Gaussian `(D, H, W)` of height 1 at a centre, with widths; z, x, y in mm."""
    squares = [
        ((axis - centre) / width) ** 2
        for axis, centre, width in zip(lattice.mesh(), *region, strict=True)
    ]
    return torch.exp(-0.5 * (squares[0] + squares[1] + squares[2]))


def build_anatomy(subject: Subject, template: TissueTemplate, lattice: Lattice) -> Anatomy:
    """Build a subject's head on a lattice; the same arguments give the same bits."""
    maps = _sample_template(subject, template, _template_points(subject, lattice))
    surface = depth(maps[3])
    brain = (0.5 + surface / _EDGE).clamp(0, 1)
    deep = bump(lattice, _DEEP_GREY)
    csf, grey, white = _segment(subject, maps[:3] / 255, brain, deep, lattice)
    # Lesions are of white matter: where the subject has none, there is no lesion.
    lesion = white * (maps[4] / 255).clamp(0, 1) if subject.lesions else torch.zeros_like(white)
    fluid, dura = _shell(subject, surface, lattice)
    inside = (2 * brain).clamp(max=1)
    # Sulci and fissures hold vessels and arachnoid beside fluid; ventricles do not.
    membranes = _MEMBRANES * csf * (1 - surface / FAR).clamp(0, 1)
    fractions = torch.stack([csf - membranes, grey, white - lesion, lesion, membranes])
    fractions *= inside
    fractions[0] += (1 - inside) * fluid
    fractions[4] += (1 - inside) * dura

    texture = subject.texture.on(lattice.axes)
    t1 = torch.stack([subject.t1[0] + 0.025 * texture[0], subject.t1[1] + 0.025 * texture[1]])
    # Deep grey matter has more iron and myelin: putamen and caudate have 0.83 to 0.87
    # of the cortex's T1 at 3 T (Wright et al., 2008).
    t1[0] *= 1 - 0.15 * deep
    return Anatomy(
        fractions, brain, surface, t1, subject.water + 0.01 * texture[2], subject.iron * deep
    )


def _segment(
    subject: Subject, maps: Tensor, brain: Tensor, deep: Tensor, lattice: Lattice
) -> Tensor:
    """Decide the tissue of each voxel: fractions `(3, D, H, W)` of CSF, GM and WM."""
    folding = subject.folding.on(lattice.axes)
    maps[0] += 1 - brain  # past the surface lies fluid
    logits = maps.add_(_FLOOR).log_()
    # The thalamus and the pallidum are mixtures of grey and white matter in everybody, not
    # by averaging over subjects, so there the maps are left as they are.
    logits[0] += subject.atrophy + _FOLDING * folding[0]
    logits[1] -= subject.thinning * (1 - deep)
    logits[2] += _FOLDING * folding[1] * (1 - deep)
    return ((_SHARPNESS + (1 - _SHARPNESS) * deep) * logits).softmax(dim=0)


def _shell(subject: Subject, surface: Tensor, lattice: Lattice) -> tuple[Tensor, Tensor]:
    """Return the fractions of fluid and dura beyond the brain's surface."""
    # The subarachnoid space is 1 to 4 mm wide over the convexity and wider with atrophy; the
    # dura is about 1 mm thick, with patches of marrow and vessels outside.
    field = subject.meninges.on(lattice.axes)
    width = (1.5 + 1.5 * max(0.0, subject.atrophy) + 0.6 * field[0]).clamp(min=0.3)
    thickness = (1.2 + 0.5 * field[1]).clamp(min=0.2)
    beyond = -surface - width
    fluid = (0.5 - beyond).clamp(0, 1)
    return fluid, (1 - fluid) * (0.5 + thickness - beyond).clamp(0, 1)


def _template_points(subject: Subject, lattice: Lattice) -> Tensor:
    """Return where in the template each voxel comes from: `(3, D, H, W)`, z, x, y in mm."""
    z, x, y = (axis - middle for axis, middle in zip(lattice.mesh(), _CENTRE, strict=True))
    rows = rotation(subject.turn) / torch.tensor(subject.scale)[:, None]
    points = torch.stack(
        [
            row[0] * z + row[1] * x + row[2] * y + middle
            for row, middle in zip(rows, _CENTRE, strict=True)
        ]
    )
    points += flow(
        [(_LOBES, subject.lobes), (_GYRI, subject.gyri), (_SULCI, subject.sulci)], lattice.axes
    )
    # Pulling towards the ventricles' centre widens them; one to one for any widening < 1.
    centre = (_VENTRICLES[0][0], subject.asymmetry, _VENTRICLES[0][2])
    pull = subject.ventricles * bump(lattice, (centre, _VENTRICLES[1]))
    for axis, middle in zip(points, centre, strict=True):
        axis -= pull * (axis - middle)
    return points


def rotation(degrees: Sequence[float]) -> Tensor:
    """Return the rotation matrix about z, then x, then y, in the order z, x, y."""
    matrix = torch.eye(3)
    for axis, angle in enumerate(degrees):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn = torch.eye(3)
        cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        turn[first, first] = turn[second, second] = cosine
        turn[first, second], turn[second, first] = -sine, sine
        matrix = turn @ matrix
    return matrix


def _sample_template(subject: Subject, template: TissueTemplate, points: Tensor) -> Tensor:
    """Interpolate the template's maps and the map of lesions, if any, all in [0, 255]."""
    # Only the slab of slices that is asked for is worth converting to float.
    bottom, top = points[0].aminmax()
    last = template.maps.shape[1] - 2
    first = min(max(math.floor(float(bottom) - template.origin[0]), 0), last)
    end = max(math.ceil(float(top) - template.origin[0]) + 1, first + 2)
    maps = torch.from_numpy(template.maps[:, first:end]).float()
    if subject.lesions:
        lesions = paint_lesions(subject.lesions, template)[first:end]
        maps = torch.cat([maps, 255 * lesions[None]])
    z, x, y = (
        start + torch.arange(count, dtype=torch.float32)
        for start, count in zip(
            (template.origin[0] + first, *template.origin[1:]), maps.shape[1:], strict=True
        )
    )
    return sample(maps, (z, x, y), points)
