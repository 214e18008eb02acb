"""Every metric against an independent implementation of its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from harmbench.contracts.purpose import Purpose
from harmbench.data.scans import Scans
from harmbench.metrics import image

KINDS = ("noise", "constant", "tiny contrast", "bright", "steps", "empty")
EVERY = [
    image.PSNR(),
    image.PSNRSlices(),
    image.SSIM(),
    image.SSIMSlices(),
    image.MAE(),
    image.NCC(),
]
OF_SCANS = [metric for metric in EVERY if not isinstance(metric, image.SliceMetric)]
OF_SLICES = [metric for metric in EVERY if isinstance(metric, image.SliceMetric)]


def slice_of(kind: str, shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    noise = random.random(shape)
    return (
        {
            "noise": noise,
            "constant": np.full(shape, random.random()),
            "tiny contrast": random.random() + 1e-6 * noise,
            "bright": 1 - 1e-3 * noise,
            "steps": np.round(noise * 3) / 3,
            "empty": np.zeros(shape),
        }[kind]
        .clip(0, 1)
        .astype(np.float32)
    )


def scans(images: torch.Tensor, masks: torch.Tensor | None = None) -> Scans:
    return Scans(
        images=images,
        masks=torch.ones_like(images, dtype=torch.bool) if masks is None else masks,
        subjects=tuple(f"p{i}" for i in range(len(images))),
        sessions=("1",) * len(images),
        positions=torch.zeros(images.shape[1]),
    )


@st.composite
def couples(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A couple of scans of three slices of one size, and a mask of each."""
    shape = (draw(st.integers(7, 20)), draw(st.integers(7, 20)))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kinds = [draw(st.sampled_from(KINDS)) for _ in range(6)]
    x, y = (np.stack([slice_of(k, shape, random) for k in half]) for half in (kinds[:3], kinds[3:]))
    if draw(st.booleans()):
        y = (x + 1e-3 * y).clip(0, 1)
    masks = random.random((2, *x.shape)) < 0.6
    masks[..., 3, 3] = True
    return x, y, masks[0], masks[1]


def measured(
    metric: image.ImageMetric, x: np.ndarray, y: np.ndarray, own: np.ndarray, true: np.ndarray
) -> np.ndarray:
    first, second, source, reference = (torch.from_numpy(a)[None] for a in (x, y, own, true))
    return metric.measure(scans(first, source), scans(second, reference), None)[0].numpy()


@settings(max_examples=60)
@given(couples())
def test_ssim_is_skimages(couple: tuple[np.ndarray, ...]) -> None:
    x, y, own, true = couple
    slices = measured(image.SSIMSlices(), *couple)
    maps = []
    for i, (a, b) in enumerate(zip(x.astype(float), y.astype(float), strict=True)):
        mean, full = structural_similarity(a, b, data_range=1, full=True)
        assert slices[i] == pytest.approx(mean, abs=1e-5)
        maps.append(full)
    inner = np.s_[:, 3:-3, 3:-3]
    expected = np.stack(maps)[inner][(own & true)[inner]].mean()
    assert measured(image.SSIM(), *couple) == pytest.approx(expected, abs=1e-5)


@settings(max_examples=60)
@given(couples())
def test_errors_are_skimages_and_numpys(couple: tuple[np.ndarray, ...]) -> None:
    x, y, own, true = couple
    slices = measured(image.PSNRSlices(), *couple)
    inside = own & true
    regions = [(slices[i], a, b) for i, (a, b) in enumerate(zip(x, y, strict=True))]
    for value, p, q in (*regions, (measured(image.PSNR(), *couple), x[inside], y[inside])):
        if (p == q).all():
            assert value == math.inf
        else:
            expected = peak_signal_noise_ratio(q.astype(float), p.astype(float), data_range=1)
            assert value == pytest.approx(expected, abs=1e-6)
    expected = np.abs(x[inside].astype(float) - y[inside]).mean()
    assert measured(image.MAE(), *couple) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60)
@given(couples())
def test_ncc_is_pearsons(couple: tuple[np.ndarray, ...]) -> None:
    x, y, own, true = couple
    p, q = (a[own & true].astype(float) for a in (x, y))
    value = measured(image.NCC(), *couple)
    if np.ptp(q) == 0:
        assert math.isnan(value)
    elif np.ptp(p) == 0:
        assert value == 0
    else:
        assert value == pytest.approx(np.corrcoef(p, q)[0, 1], abs=1e-6)


def test_one_exact_slice_makes_the_psnr_of_slices_infinite_alone() -> None:
    y = torch.rand(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    x = (y + 0.1).clone()
    x[:, 2] = y[:, 2]
    assert image.PSNRSlices().measure(scans(x), scans(y), None).mean().item() == math.inf
    # Three slices of four have a squared error of 0.01.
    expected = -10 * math.log10(0.01 * 3 / 4)
    assert image.PSNR().measure(scans(x), scans(y), None).item() == pytest.approx(
        expected, abs=1e-4
    )


@pytest.mark.parametrize("metric", OF_SCANS, ids=lambda metric: metric.name)
@pytest.mark.parametrize("cut", ["source", "reference"])
def test_only_the_common_foreground_counts(metric: image.ImageMetric, cut: str) -> None:
    random = torch.Generator().manual_seed(1)
    x, y = (torch.rand(1, 2, 20, 20, generator=random) for _ in range(2))
    whole = torch.ones_like(x, dtype=torch.bool)
    part = whole.clone()
    part[..., :8] = False
    masks = (part, whole) if cut == "source" else (whole, part)
    value = metric.measure(scans(x, masks[0]), scans(y, masks[1]), None)
    # A window of SSIM at the edge of the region reaches 3 pixels beyond it.
    spoilt = torch.where(torch.arange(20) < 5, 1 - x, x)
    torch.testing.assert_close(
        metric.measure(scans(spoilt, masks[0]), scans(y, masks[1]), None), value
    )
    assert metric.measure(scans(spoilt), scans(y), None) != metric.measure(scans(x), scans(y), None)


def test_float32_scans_agree_with_skimage_too(small_cohort) -> None:
    first, second = small_cohort.pairs("domain1", "test")
    x, y = first.load([0, 1]), second.load([0, 1])
    result = image.SSIMSlices().measure(x, y, second)
    expected = [
        [
            structural_similarity(a.numpy(), b.numpy(), data_range=1)
            for a, b in zip(p, q, strict=True)
        ]
        for p, q in zip(x.images, y.images, strict=True)
    ]
    assert 0.3 < result.min() < result.max() < 0.999
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("metric", OF_SLICES, ids=lambda metric: metric.name)
def test_slice_without_foreground_does_not_count(metric: image.ImageMetric) -> None:
    random = np.random.default_rng(0)
    x = torch.from_numpy(random.random((2, 3, 9, 11), dtype=np.float32))
    masks = torch.ones_like(x, dtype=torch.bool)
    masks[1, 2] = False
    values = metric.measure(scans(x), scans(x.flip(-1), masks), None)
    assert values.shape == (2, 3)
    assert torch.isnan(values).nonzero().tolist() == [[1, 2]]


@pytest.mark.parametrize("metric", OF_SCANS, ids=lambda metric: metric.name)
def test_scan_without_common_foreground_does_not_count(metric: image.ImageMetric) -> None:
    random = np.random.default_rng(0)
    x = torch.from_numpy(random.random((2, 3, 9, 11), dtype=np.float32))
    masks = torch.ones_like(x, dtype=torch.bool)
    masks[1, :, :5] = False
    values = metric.measure(scans(x, masks), scans(x.flip(-1), masks.flip(-2).logical_not()), None)
    assert values.shape == (2,)
    assert torch.isnan(values).tolist() == [True, False]


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.name)
def test_scans_are_measured_separately_and_not_changed(metric: image.ImageMetric) -> None:
    random = np.random.default_rng(1)
    x, y = (torch.from_numpy(random.random((3, 2, 8, 13), dtype=np.float32)) for _ in range(2))
    masks = torch.from_numpy(random.random(x.shape) < 0.5)
    copies = x.clone(), y.clone()
    together = metric.measure(scans(x), scans(y, masks), None)
    alone = [
        metric.measure(scans(x[i : i + 1]), scans(y[i : i + 1], masks[i : i + 1]), None)
        for i in range(3)
    ]
    torch.testing.assert_close(together, torch.cat(alone))
    assert torch.equal(x, copies[0])
    assert torch.equal(y, copies[1])


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.name)
def test_direction_of_the_good(metric: image.ImageMetric) -> None:
    random = np.random.default_rng(2)
    y = torch.from_numpy(random.random((1, 1, 16, 16), dtype=np.float32))
    noise = torch.from_numpy(random.random(y.shape, dtype=np.float32)) - 0.5
    better, worse = (
        metric.measure(scans(y + amount * noise), scans(y), None).item() for amount in (0.05, 0.4)
    )
    assert (better > worse) == metric.higher_is_better


def test_needs_references_and_room_for_the_window() -> None:
    x = scans(torch.rand(1, 1, 6, 9))
    assert not image.PSNR().applies(x, None, None)
    assert image.PSNR().applies(x, x, None)
    with pytest.raises(ValueError, match="psnr needs references"):
        image.PSNR().measure(x, None, None)
    with pytest.raises(ValueError, match="at least 7 x 7"):
        image.SSIM().measure(x, x, None)


def test_table_names_subject_scan_and_slice() -> None:
    x, y = scans(torch.rand(2, 3, 8, 8)), scans(torch.zeros(2, 3, 8, 8))
    table = image.PSNRSlices().table(x, y, None)
    assert table["subject"].tolist() == ["p0"] * 3 + ["p1"] * 3
    assert table["slice"].tolist() == [0, 1, 2] * 2
    table = image.MAE().table(x, y, None)
    assert table["subject"].tolist() == ["p0", "p1"]
    assert table["slice"].tolist() == [-1, -1]
    assert table["value"][1] == pytest.approx(x.images[1].mean().item(), abs=1e-6)


def test_psnr_ranks_and_slices_are_for_comparison_with_papers() -> None:
    purposes = {metric.name: metric.purpose for metric in EVERY}
    assert purposes == {
        "psnr": Purpose.RANKING,
        "psnr_slices": Purpose.PUBLISHED,
        "ssim": Purpose.DETAIL,
        "ssim_slices": Purpose.PUBLISHED,
        "mae": Purpose.DETAIL,
        "ncc": Purpose.DETAIL,
    }
