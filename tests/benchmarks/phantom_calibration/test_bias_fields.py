import numpy as np
import pytest
from phantom_calibration import bias_fields
from phantom_calibration.template import GRID
from scipy import ndimage


def random_fields(subjects, common, individual, scans=1):
    """Return log fields (N, V): one for all plus one a subject, of these deviations."""
    generator = np.random.default_rng(0)
    shared = generator.normal(0, common, 4000)
    own = generator.normal(0, individual, (subjects, 4000))
    return (shared + np.repeat(own, scans, axis=0)).astype(np.float32)


@pytest.mark.parametrize("subjects", [4, 12])
@pytest.mark.parametrize(("common", "individual"), [(0.05, 0.02), (0.02, 0.04), (0.0, 0.03)])
def test_common_variance_and_scatter_are_recovered(subjects, common, individual):
    fields = random_fields(subjects, common, individual)
    share, scatter = bias_fields.common_variance(fields, [str(i) for i in range(subjects)])
    assert share == pytest.approx(common**2 / (common**2 + individual**2), abs=0.04)
    assert scatter == pytest.approx(individual, rel=0.03)


def test_prediction_by_other_subjects_pays_for_the_noise_of_their_mean():
    fields = random_fields(5, 0.05, 0.05)
    # Error: own variance and that of the mean of four others, over twice the variance.
    share = bias_fields.common_share(fields, list("abcde"))
    assert share == pytest.approx(1 - (1 + 1 / 4) / 2, abs=0.02)


def test_a_second_scan_of_a_subject_does_not_predict_the_first():
    fields = random_fields(2, 0.0, 0.05, scans=2)
    assert bias_fields.common_share(fields, list("aabb")) < 0
    share, _ = bias_fields.common_variance(fields, list("aabb"))
    assert share == pytest.approx(0, abs=0.06)


def test_centred_fields_have_no_mean_within_the_region():
    region = np.zeros((4, 5, 6), dtype=bool)
    region[1:3] = True
    fields = np.random.default_rng(0).normal(3, 1, (2, 4, 5, 6))
    result = bias_fields.centred(fields, region)
    assert result.shape == (2, 60)
    assert np.allclose(result.mean(axis=1), 0, atol=1e-6)


def test_a_known_field_is_recovered_by_n4():
    z, x, y = ((np.arange(count) - (count - 1) / 2) / (count / 2) for count in GRID.shape)
    z, x, y = z[:, None, None], x[None, :, None], y[None, None, :]
    radius = np.sqrt(z**2 + x**2 + y**2)
    # Two tissues in patches that are small compared with the field.
    patches = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=GRID.shape), 3) > 0
    mask = radius < 0.8
    field = 0.15 * y + 0.1 * z**2 + 0 * x
    tissue = np.where(patches, 1.0, 0.65)
    noise = np.random.default_rng(1).normal(0, 0.02, GRID.shape)
    image = (np.where(mask, tissue * np.exp(field) + noise, 0)).astype(np.float32)

    flat, log_field = bias_fields.corrected(image, mask, GRID.affine)

    inside = radius < 0.75
    error = (log_field - field)[inside]
    assert np.corrcoef(log_field[inside], field[inside])[0, 1] > 0.97
    assert error.std() < 0.25 * field[inside].std()
    assert np.allclose(flat[inside], (image / np.exp(log_field))[inside], rtol=1e-4)
