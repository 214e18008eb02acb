"""Simulated shifts: what they do to a slice, what they draw, and what a task is made of."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from harmbench.data.scan_set import ScanKey
from harmbench.data.scans import Grid, minmax
from harmbench_tasks.simulated import (
    STRENGTH,
    TERMS,
    Bias,
    BiasShift,
    Exp,
    FormulaCurve,
    Gamma,
    Log,
    bernstein,
    draw_bias,
)
from harmbench_tasks.simulated_scanner import SimulatedScanner

TASKS = [
    Exp(),
    Log(),
    *(Gamma(g) for g in (0.7, 0.8, 0.9, 1.2, 1.3, 1.5)),
    Bias(),
    SimulatedScanner(),
]
CURVES = [
    FormulaCurve("exp"),
    FormulaCurve("log"),
    FormulaCurve("gamma", 0.7),
    FormulaCurve("gamma", 1.5),
]


def apply(curve: FormulaCurve, images: torch.Tensor) -> torch.Tensor:
    zeros = torch.zeros(len(images), dtype=torch.int64)
    return curve(images, images > 0, zeros, zeros)


@pytest.mark.parametrize(
    ("curve", "middle"),
    [
        (FormulaCurve("exp"), (math.exp(0.5) - 1) / (math.e - 1)),
        (FormulaCurve("log"), math.log(2.5) / math.log(4)),
        (FormulaCurve("gamma", 0.7), 0.5**0.7),
        (FormulaCurve("gamma", 1.5), 0.5**1.5),
    ],
)
def test_curves_by_their_formulas(curve: FormulaCurve, middle: float) -> None:
    shifted = apply(curve, torch.tensor([[[0.0, 0.5], [1.0, 0.0]]]))
    assert shifted.flatten().tolist() == pytest.approx([0, middle, 1, 0], abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(CURVES), st.integers(0, 2**32 - 1))
def test_one_curve_for_all_slices_keeps_order_0_and_1(curve: FormulaCurve, seed: int) -> None:
    images = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(seed))
    images[0] = 0
    images[1] = 0.2 + 0.5 * images[1]  # as of a volume that was scaled as a whole
    images[2, 0, 0] = 1
    shifted = apply(curve, images)
    assert (shifted[0] == 0).all()
    assert shifted.max() == 1
    assert (shifted.flatten()[images.flatten().argsort()].diff() >= 0).all()


def test_gamma_is_undone_by_its_inverse() -> None:
    images = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0))
    images[:, 0, :2] = torch.tensor([0.0, 1.0])
    back = apply(FormulaCurve("gamma", 1 / 1.5), apply(FormulaCurve("gamma", 1.5), images))
    torch.testing.assert_close(back, images, atol=1e-5, rtol=0)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_bernstein_curves_rise_from_0_to_1(seed: int) -> None:
    steps = torch.tensor(np.random.default_rng(seed).dirichlet(np.full(5, 4.0)))[None]
    x = torch.linspace(0, 1, 101, dtype=torch.float64).view(1, 1, -1)
    y = bernstein(x, steps).flatten()
    assert y[0] == 0
    assert y[-1] == pytest.approx(1)
    assert (y.diff() > 0).all()


def test_equal_steps_are_the_straight_line() -> None:
    x = torch.rand(1, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(bernstein(x, torch.full((1, 5), 0.2, dtype=torch.float64)), x)


def test_bias_by_its_formula() -> None:
    # One cosine for each of two scans: along the columns, and along slices and rows.
    orders = ((0, 0, 1), (2, 1, 0))
    fields = tuple(tuple(0.3 * (term == order) for term in TERMS) for order in orders)
    curves = ((0.2,) * 5, (0.6, 0.1, 0.1, 0.1, 0.1))
    shift = BiasShift((5, 32, 48), fields, curves)
    images = torch.rand(2, 4, 6, generator=torch.Generator().manual_seed(0))
    images[:, 0, 0] = 0
    scan, index = torch.tensor([1, 0]), torch.tensor([4, 2])
    rows, columns = (torch.arange(n)[:, None] + 0.5 for n in (4, 6))
    slope = math.cos(2 * math.pi * 4.5 / 5)
    expected = [
        torch.exp(0.3 * slope * torch.cos(torch.pi * rows / 4)).expand(4, 6),
        torch.exp(0.3 * torch.cos(torch.pi * columns.T / 6)).expand(4, 6),
    ]
    torch.testing.assert_close(shift.field(images.shape, scan, index), torch.stack(expected))
    shifted = shift(images, images > 0, scan, index)
    for i, steps in enumerate((curves[1], curves[0])):
        bent = bernstein(images[i][None], torch.tensor([steps])) * expected[i]
        torch.testing.assert_close(shifted[i], minmax(bent)[0] * images[i].max())


def test_fields_are_dominated_by_long_waves(small_cohort) -> None:
    scans = small_cohort.scans("target", "train")
    crowd = dataclasses.replace(
        scans.subset([0] * 300), scans=tuple(ScanKey(f"p{i}", "1", "") for i in range(300))
    )
    power = (np.array(draw_bias(crowd, 0, "sim-bias").fields) ** 2).mean(axis=0)
    degrees = np.array([sum(orders) for orders in TERMS])
    by_degree = [power[degrees == d].mean() for d in (1, 2, 3)]
    assert by_degree[0] / by_degree[1] == pytest.approx(4, rel=0.3)
    assert by_degree[0] / by_degree[2] == pytest.approx(9, rel=0.3)


def test_field_has_the_stated_strength_on_any_grid(small_cohort) -> None:
    scans = small_cohort.scans("target", "train")
    shift = draw_bias(scans, 0, "sim-bias")
    fine = dataclasses.replace(scans, grid=Grid("fine", (20, 64, 96), (2.4, 2.5, 2.0)))
    finer = draw_bias(fine, 0, "sim-bias")
    assert shift.fields == finer.fields
    for index in range(len(scans)):
        field = finer.field(torch.Size((20, 64, 96)), torch.full((20,), index), torch.arange(20))
        peak = field.log().abs().max().exp().item()
        assert STRENGTH**0.9 < peak < STRENGTH * 1.02
        # Smooth: neighbours differ by little, and the slices by something.
        assert field.log().diff(dim=-1).abs().max() < 0.06
        assert (field[0] - field[-1]).abs().max() > 0.02
    coarse = shift.field(torch.Size((6, 32, 48)), torch.zeros(6).long(), torch.arange(6))
    pooled = finer.field(torch.Size((24, 64, 96)), torch.zeros(20).long(), torch.arange(20))
    assert coarse.shape == (6, 32, 48)
    # The same field seen on both grids, at the middle slices.
    middle = torch.nn.functional.avg_pool2d(pooled[9:11].mean(0)[None], 2)[0]
    torch.testing.assert_close(coarse[2:4].mean(0), middle, atol=0.02, rtol=0)


def test_no_global_curve_undoes_the_bias(small_cohort) -> None:
    for task, low, high in ((Bias(), 0.5, 0.99), (Exp(), 0.999999, 1.0)):
        data = task.setup(small_cohort, 0)
        shifted, truth = data.test.load([0]), data.references.load([0])
        brain = truth.masks[0, 3]
        result = spearmanr(shifted.images[0, 3][brain], truth.images[0, 3][brain]).statistic
        assert low < result <= high + 1e-12


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_tasks_use_target_scans(task, small_cohort) -> None:
    data = task.setup(small_cohort, 7)
    assert len(data.source) == len(data.target) == 2
    assert {*data.source.subjects} | {*data.target.subjects} == {"p3", "p4", "p5", "p6"}
    assert data.validation.subjects == ("p2",)
    assert data.test.subjects == data.references.subjects == ("p0", "p0", "p1")
    assert data.pairs[0].subjects == data.pairs[1].subjects == ("p3", "p4", "p5", "p6")
    for scans, pair in ((data.source, data.pairs[0]), (data.target, data.pairs[1])):
        indices = [pair.subjects.index(subject) for subject in scans.subjects]
        torch.testing.assert_close(scans.load([0, 1]).images, pair.load(indices).images)
    assert data.test.digest != data.references.digest
    shifted, truth = data.test.load([0, 1, 2]), data.references.load([0, 1, 2])
    assert shifted.images.shape == truth.images.shape
    assert shifted.images.dtype == torch.float32
    assert shifted.images.min() == 0
    assert shifted.images.max() == 1
    assert (shifted.images[~truth.masks] == 0).all()
    difference = (shifted.images - truth.images)[truth.masks].abs().mean()
    assert 0.01 < difference < 0.3
    assert json.loads(json.dumps(data.parameters)) == data.parameters


@pytest.mark.parametrize(
    "task", [Gamma(0.7), Bias(), SimulatedScanner()], ids=lambda task: task.name
)
def test_slices_and_scans_have_the_same_shift(task, small_cohort) -> None:
    test = task.setup(small_cohort, 0).test
    whole = test.load([0, 1, 2]).images.flatten(0, 1)
    some = torch.tensor([16, 3, 7, 0])
    torch.testing.assert_close(test.slices(some), whole[some])
    torch.testing.assert_close(test.load([2]).images[0], whole[12:])


def test_draws_depend_on_seed_subject_and_session_alone(small_cohort) -> None:
    scans = small_cohort.scans("target")
    everybody = draw_bias(scans, 0, "sim-bias")
    places = [5, 0]
    some = draw_bias(scans.subset(places), 0, "sim-bias")
    assert some.fields == tuple(everybody.fields[i] for i in places)
    assert some.curves == tuple(everybody.curves[i] for i in places)
    assert len(set(everybody.fields)) == len(set(everybody.curves)) == len(scans)
    other = draw_bias(scans, 1, "sim-bias")
    assert not set(other.fields) & set(everybody.fields)


def test_digests_follow_content() -> None:
    assert len({curve.digest for curve in CURVES}) == len(CURVES)
    shift = BiasShift((6, 32, 48), ((0.1,) * 19,), ((0.2,) * 5,))
    same = BiasShift((6, 32, 48), ((0.1,) * 19,), ((0.2,) * 5,))
    assert shift.digest == same.digest
    changed = (
        dataclasses.replace(shift, shape=(7, 32, 48)),
        dataclasses.replace(shift, fields=((0.1,) * 18 + (0.2,),)),
        dataclasses.replace(shift, curves=((0.2, 0.2, 0.2, 0.1, 0.3),)),
    )
    assert len({shift.digest, *(c.digest for c in changed)}) == 4


def test_bias_differs_by_seed_and_records_its_parameters(small_cohort) -> None:
    first, again, other = (Bias().setup(small_cohort, seed) for seed in (0, 0, 1))
    assert first.test.digest == again.test.digest
    assert first.test.digest != other.test.digest
    assert first.target.digest == other.target.digest
    assert sorted(first.parameters["scans"]) == ["p0/1", "p0/2", "p1/1"]
    recorded = first.parameters["scans"]["p1/1"]
    assert tuple(recorded["field"]) == first.test._transform.fields[2]
    assert tuple(recorded["curve"]) == first.test._transform.curves[2]
