"""Methods with parts: their fits, keys and costs."""

from __future__ import annotations

import dataclasses
import shutil

import pytest
import torch
from safetensors.torch import load_file

from harmbench.contracts.cell import Status
from harmbench.data.cohort_request import CohortRequest
from harmbench.execution.compute.runner import Runner
from harmbench.execution.plan.plan import make_plan
from harmbench.execution.plan.request import Request
from harmbench.execution.plan.selection import select
from harmbench.plugins import Registry
from harmbench.util.progress import Silent
from helpers import PLUGINS

FILES = [PLUGINS / "tiny_cohort.py", PLUGINS / "built_methods.py"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A home with the tiny cohort in it."""
    home = tmp_path_factory.mktemp("home")
    plan(home, ["identity"])
    return home


def plan(home, methods, **options):
    registry = Registry.discover(FILES)
    request = Request(
        methods=methods, tasks=["site-elsewhere"], cohort=CohortRequest("tiny"), **options
    )
    return make_plan(registry, select(registry, request), home, Silent())


@pytest.fixture
def bench(prepared, tmp_path, monkeypatch, compute):
    """Run methods; results and the log of the fits are kept in a folder of the test's."""
    monkeypatch.setenv("COUNTS_LOG", str(tmp_path / "fits.log"))
    (tmp_path / "cohorts").symlink_to(prepared / "cohorts")

    def run(*methods, **options):
        planned = plan(tmp_path, methods, **options)
        runner = Runner(
            registry=Registry.discover(FILES),
            home=tmp_path,
            device=torch.device("cpu"),
            progress=Silent(),
        )
        actual, run.made = compute(planned, runner)
        results = {planned.cell.method: result for planned, result in actual}
        return results[methods[0]] if len(methods) == 1 else results

    run.home = tmp_path
    run.fits = lambda: (tmp_path / "fits.log").read_text().split()
    return run


def keys(home, *methods, **options):
    return [planned.cell.fit_key for planned in plan(home, methods, **options).cells]


def stored(home, key):
    return load_file(home / "fits" / key / "state.safetensors")


def test_a_part_is_stored_as_the_method_that_it_is(bench):
    built = bench("built")
    assert (built.status, bench.made) == (Status.DONE, ["base", "built"])
    whole, part = (stored(bench.home, key) for key in keys(bench.home, "built", "base"))
    assert torch.equal(whole["below.mean"], part["mean"])
    torch.testing.assert_close(whole["square"], part["mean"] ** 2)
    base = bench("base")
    assert (base.status, bench.made) == (Status.DONE, [])
    assert bench.fits() == ["base"]


def test_a_stored_part_is_not_fitted_again(bench):
    base = bench("base")
    built = bench("built")
    assert bench.made == ["built"]
    assert bench.fits() == ["base"]
    # `built` harmonises with its part alone. As text, since NaN is not equal to itself.
    assert repr(built.estimates) == repr(base.estimates)


def test_methods_on_one_part_fit_it_once(bench):
    results = bench("built", "also-built", "built-twice", "base")
    assert {result.status for result in results.values()} == {Status.DONE}
    assert bench.fits() == ["base"]


def test_parts_may_have_parts(bench):
    twice = bench("built-twice")
    assert twice.status is Status.DONE
    state = stored(bench.home, *keys(bench.home, "built-twice"))
    mean = state["below.below.mean"]
    assert float(mean) > 0
    torch.testing.assert_close(state["below.square"], mean**2)
    torch.testing.assert_close(state["square"], mean**4)
    assert {point.name for point in twice.curves} == {"below.level", "below.below.level"}
    bench("built")
    assert bench.made == []


def test_the_cost_of_a_method_includes_stored_parts(bench):
    first = bench("built").facts["fit_seconds"]
    base = bench("base").facts["fit_seconds"]
    assert first > base >= 0.2
    _, part = keys(bench.home, "built", "base")
    for path in (bench.home / "fits").iterdir():
        if path.is_dir() and path.name != part:
            shutil.rmtree(path)
    shutil.rmtree(bench.home / "cells")
    again = bench("built")
    assert bench.made == ["built"]
    assert bench.fits() == ["base"]
    assert again.facts["fit_seconds"] > base
    assert bench("also-built").facts["fit_seconds"] > base


def test_curves_of_a_part_are_separate_from_the_methods(bench):
    built, base = bench("built"), bench("base")
    ((_, _, level),) = base.curves
    curves = {point.name: point.value for point in built.curves}
    assert curves == {"below.level": level, "level": pytest.approx(level**2)}
    assert bench("built").curves == built.curves


def test_a_part_that_diverges_takes_the_cell_with_it(bench):
    result = bench("built-on-bursts")
    assert result.status is Status.DIVERGED
    assert "not finite" in result.reason
    assert [point.name for point in result.curves] == ["level"]  # as of the part
    assert [path for path in (bench.home / "fits").iterdir() if path.is_dir()] == []
    assert bench("built").status is Status.DONE


def test_a_blind_method_does_not_see_the_source_through_a_part(bench):
    blind, seeing = bench("peeks-below"), bench("not-blind")
    assert blind.status is Status.FAILED
    assert "declares not to need it" in blind.reason
    assert seeing.status is Status.DONE


def test_only_a_damaged_part_is_fitted_again(bench):
    bench("base")
    (part,) = keys(bench.home, "base")
    state = bench.home / "fits" / part / "state.safetensors"
    whole = state.read_bytes()
    state.write_bytes(whole[:-3])
    assert bench("built").status is Status.DONE
    assert bench.fits() == ["base", "base"]
    assert state.read_bytes() == whole


def test_a_fit_depends_on_the_fit_settings_of_its_parts_only(prepared):
    (plain,) = keys(prepared, "built")
    (part,) = keys(prepared, "base")
    for setting, whole_changes in (("offset=0.1", True), ("power=2", True), ("strength=1", False)):
        (whole,) = keys(prepared, "built", assignments=[f"built.{setting}"])
        assert (whole != plain) is whole_changes, setting
    settings = ["base.offset=0.1", "base.strength=1"]
    others = [keys(prepared, "base", assignments=[setting])[0] for setting in settings]
    assert [other != part for other in others] == [True, False]


def test_the_key_of_a_fit_depends_on_its_parts(prepared):
    (planned,) = plan(prepared, ["built"]).cells
    below = planned.fit.parts["below"]
    assert [below.key] == keys(prepared, "base")
    newer = type("Newer", (below.model,), {"version": "2"})
    rebuilt = type(
        "Rebuilt", (planned.method,), {"part": newer, "__module__": planned.method.__module__}
    )
    assert dataclasses.replace(planned.fit, model=rebuilt).key != planned.fit.key
    same = type("Same", (planned.method,), {"__module__": planned.method.__module__})
    assert dataclasses.replace(planned.fit, model=same).key == planned.fit.key


def test_training_a_method_does_not_train_its_parts(small_cohort):
    built = Registry.discover(FILES).entry("methods", "built").load()
    method = built(small_cohort.grid).train()
    assert method.training
    parts = [getattr(method, name) for name in built.parts(method.config)]
    assert parts
    assert not any(part.training for part in parts)
