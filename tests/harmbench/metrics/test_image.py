"""Every metric against an independent implementation of its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from harmbench.data.scans import Scans
from harmbench.metrics import image

KINDS = ("noise", "constant", "tiny contrast", "bright", "steps", "empty")
EVERY = [
    getattr(image, name + suffix)()
    for name in ("PSNR", "SSIM", "MAE", "NCC")
    for suffix in ("", "Foreground")
]


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
def couples(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three couples of slices of one size, and a foreground for each."""
    shape = (draw(st.integers(7, 20)), draw(st.integers(7, 20)))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kinds = [draw(st.sampled_from(KINDS)) for _ in range(6)]
    x, y = (np.stack([slice_of(k, shape, random) for k in half]) for half in (kinds[:3], kinds[3:]))
    if draw(st.booleans()):
        y = (x + 1e-3 * y).clip(0, 1)
    masks = random.random(x.shape) < 0.6
    masks[:, 3, 3] = True
    return x, y, masks


def measured(metric: image.ImageMetric, x: np.ndarray, y: np.ndarray, m: np.ndarray) -> np.ndarray:
    first, second, masks = (torch.from_numpy(a)[None] for a in (x, y, m))
    # The harmonised scan's own mask is another one, and must not matter.
    return metric.measure(scans(first), scans(second, masks), None)[0].numpy()


@settings(max_examples=60)
@given(couples())
def test_ssim_is_skimages(couple: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    x, y, masks = couple
    whole = measured(image.SSIM(), x, y, masks)
    foreground = measured(image.SSIMForeground(), x, y, masks)
    for i, (a, b) in enumerate(zip(x.astype(float), y.astype(float), strict=True)):
        mean, full = structural_similarity(a, b, data_range=1, full=True)
        assert whole[i] == pytest.approx(mean, abs=1e-5)
        inner = masks[i, 3:-3, 3:-3]
        assert foreground[i] == pytest.approx(full[3:-3, 3:-3][inner].mean(), abs=1e-5)


@settings(max_examples=60)
@given(couples())
def test_errors_by_their_definitions(couple: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    x, y, masks = couple
    names = ("PSNR", "PSNRForeground", "MAE", "MAEForeground")
    result = {name: measured(getattr(image, name)(), x, y, masks) for name in names}
    for i, (a, b) in enumerate(zip(x.astype(float), y.astype(float), strict=True)):
        inside = (a[masks[i]], b[masks[i]])
        for suffix, (p, q) in (("", (a, b)), ("Foreground", inside)):
            assert result["MAE" + suffix][i] == pytest.approx(np.abs(p - q).mean(), abs=1e-12)
            if (p == q).all():
                assert result["PSNR" + suffix][i] == math.inf
            else:
                expected = peak_signal_noise_ratio(p, q, data_range=1)
                assert result["PSNR" + suffix][i] == pytest.approx(expected, abs=1e-6)


@settings(max_examples=60)
@given(couples())
def test_ncc_is_pearsons(couple: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    x, y, masks = couple
    whole = measured(image.NCC(), x, y, masks)
    foreground = measured(image.NCCForeground(), x, y, masks)
    for i, (a, b) in enumerate(zip(x.astype(float), y.astype(float), strict=True)):
        inside = (a[masks[i]], b[masks[i]])
        for value, (p, q) in ((whole[i], (a.ravel(), b.ravel())), (foreground[i], inside)):
            if np.ptp(q) == 0:
                assert math.isnan(value)
            elif np.ptp(p) == 0:
                assert value == 0
            else:
                assert value == pytest.approx(np.corrcoef(p, q)[0, 1], abs=1e-6)


def test_float32_scans_agree_with_skimage_too(small_cohort) -> None:
    first, second = small_cohort.pairs("domain1", "test")
    x, y = first.load([0, 1]), second.load([0, 1])
    result = image.SSIM().measure(x, y, second)
    expected = [
        [
            structural_similarity(a.numpy(), b.numpy(), data_range=1)
            for a, b in zip(p, q, strict=True)
        ]
        for p, q in zip(x.images, y.images, strict=True)
    ]
    assert 0.3 < result.min() < result.max() < 0.999
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.name)
def test_slice_without_foreground_does_not_count(metric: image.ImageMetric) -> None:
    random = np.random.default_rng(0)
    x = torch.from_numpy(random.random((2, 3, 9, 11), dtype=np.float32))
    masks = torch.ones_like(x, dtype=torch.bool)
    masks[1, 2] = False
    values = metric.measure(scans(x), scans(x.flip(-1), masks), None)
    assert values.shape == (2, 3)
    assert torch.isnan(values).nonzero().tolist() == [[1, 2]]


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


def test_the_foreground_is_all_that_counts_within_it() -> None:
    y = torch.rand(1, 1, 20, 20, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros_like(y, dtype=torch.bool)
    masks[..., 8:12, 8:12] = True
    x = torch.where(masks, y, 1 - y)
    assert image.PSNRForeground().measure(scans(x), scans(y, masks), None).item() == math.inf
    assert image.MAEForeground().measure(scans(x), scans(y, masks), None).item() == 0
    assert image.PSNR().measure(scans(x), scans(y, masks), None).item() < 10


def test_needs_references_and_room_for_the_window() -> None:
    x = scans(torch.rand(1, 1, 6, 9))
    assert not image.PSNR().applies(x, None, None)
    assert image.PSNR().applies(x, x, None)
    with pytest.raises(ValueError, match="psnr needs references"):
        image.PSNR().measure(x, None, None)
    with pytest.raises(ValueError, match="at least 7 x 7"):
        image.SSIM().measure(x, x, None)


def test_table_names_subject_scan_and_slice() -> None:
    x = scans(torch.rand(2, 3, 8, 8))
    table = image.MAE().table(x, scans(torch.zeros(2, 3, 8, 8)), None)
    assert table["subject"].tolist() == ["p0"] * 3 + ["p1"] * 3
    assert table["slice"].tolist() == [0, 1, 2] * 2
    assert table["value"][4] == pytest.approx(x.images[1, 1].mean().item(), abs=1e-6)
