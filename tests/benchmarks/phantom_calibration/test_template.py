import numpy as np
from phantom_calibration.template import GRID, inside_brain, tissue_priors
from scipy import ndimage


def index(x, y, z):
    """Return the voxel at MNI152 coordinates in mm."""
    left, back, low = GRID.origin
    places = zip((z, x, y), (low, left, back), GRID.spacing, strict=True)
    return tuple(round((mm - start) / step) for mm, start, step in places)


def test_the_grid_contains_the_whole_brain():
    box = ndimage.find_objects(inside_brain().astype(np.uint8))[0]
    assert all(
        side.start > 3 and side.stop < size - 3 for side, size in zip(box, GRID.shape, strict=True)
    )


def test_priors_are_probabilities():
    priors = tissue_priors()
    assert priors.min() > 0
    assert np.allclose(priors.sum(axis=0), 1, atol=1e-5)


def test_priors_know_ventricles_white_matter_and_thalamus():
    priors = tissue_priors()
    most = [
        int(priors[:, *index(*position)].argmax()) for position in [(-10, -18, 21), (28, -20, 28)]
    ]
    assert most == [0, 2]
    assert priors[1][index(-52, -20, 10)] > 0.4  # superior temporal cortex
