"""Every check fails on the samples that break its property, and only on those."""

from __future__ import annotations

import importlib
import sys

import pytest
import torch

from harmbench.errors import UserError
from harmbench.plugins import Plugin, Registry
from harmbench.testing import CheckStatus
from harmbench.testing.method_checks import METHOD_CHECKS
from harmbench.testing.suite import check_method, check_task, find, of_method
from harmbench.testing.task_checks import TASK_CHECKS
from helpers import PLUGINS

sys.path.insert(0, str(PLUGINS))
try:
    import broken_methods
    import broken_tasks
finally:
    sys.path.remove(str(PLUGINS))


def outcomes(what):
    conformance = find(what)
    return {check.name: conformance.perform(check.name) for check in conformance.checks}


def failed(results):
    return {name for name, outcome in results.items() if outcome.status is CheckStatus.FAILED}


@pytest.mark.parametrize(
    "sample", [*broken_methods.BROKEN, *broken_tasks.BROKEN], ids=lambda sample: sample.__name__
)
def test_a_sample_fails_exactly_its_own_check(sample):
    result = outcomes(sample)
    assert failed(result) == {sample.fails}
    text = result[sample.fails].text
    for part in ("expected  ", "got       ", "fix       "):
        assert [line for line in text.splitlines() if line.startswith(part)], text


@pytest.mark.parametrize(
    "sample", [broken_methods.Sound, broken_methods.Trains, broken_tasks.Sound]
)
def test_sound_ones_pass(sample):
    result = outcomes(sample)
    assert not failed(result)
    skipped = {name for name, one in result.items() if one.status is CheckStatus.SKIPPED}
    assert skipped <= {"registration", "resume", "gpu", "repeats", "stack"}
    assert "resume" not in skipped or sample is broken_methods.Sound


def test_every_check_has_a_sample_that_fails_it():
    # Registration needs a module to be registered by, and `gpu` a GPU: they are tested below.
    alone = {"registration"}
    for checks, samples in (
        (METHOD_CHECKS, (*broken_methods.BROKEN, broken_methods.StaysOnTheCPU)),
        (TASK_CHECKS, broken_tasks.BROKEN),
    ):
        assert {check.name for check in checks} == {sample.fails for sample in samples} | alone


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_method_that_stays_on_the_cpu_fails():
    assert failed(outcomes(broken_methods.StaysOnTheCPU)) == {"gpu"}


def registered(tmp_path, monkeypatch, name, **files):
    """Write modules, register the first as a plugin, and return the registry."""
    for file, text in files.items():
        (tmp_path / f"{file}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = Registry()
    registry.add(
        Plugin(name=name, distribution=name, version="1", origin="entry point"),
        importlib.import_module(name),
    )
    return registry


HOOK = """
from harmbench import hookimpl
{imports}
@hookimpl
def register_methods():
    return {{"{name}": "broken_methods:{kind}"}}
"""


@pytest.mark.parametrize(
    ("name", "kind", "imports", "message"),
    [
        ("sound", "Sound", "", None),
        ("sound", "Sound", "import torch", "it loads torch"),
        ("loud", "Sound", "", "name = 'sound'"),
    ],
)
def test_registration(tmp_path, monkeypatch, name, kind, imports, message):
    module = f"registers_{name}_{bool(imports)}"
    text = HOOK.format(name=name, kind=kind, imports=imports)
    # An empty module has the name of torch, whose import takes seconds.
    registry = registered(tmp_path, monkeypatch, module, **{module: text, "torch": ""})
    outcome = find(name, registry=registry).perform("registration")
    if message is None:
        assert outcome.status is CheckStatus.PASSED
    else:
        assert outcome.status is CheckStatus.FAILED
        assert message in outcome.text


DECLARING_HOOK = """
from harmbench import Lazy, hookimpl
@hookimpl
def register_methods():
    return {{"sound": Lazy("broken_methods:Sound", summary={summary!r}, needs={needs!r})}}
"""


@pytest.mark.parametrize("wrong", ["", "summary", "needs"])
def test_declared_attributes_must_be_those_of_the_class(tmp_path, monkeypatch, wrong):
    cls = importlib.import_module("broken_methods").Sound
    declared = {"summary": cls.summary, "needs": cls.needs.name} | ({wrong: "XY"} if wrong else {})
    module = f"declares_{wrong}"
    text = DECLARING_HOOK.format(**declared)
    registry = registered(tmp_path, monkeypatch, module, **{module: text})
    outcome = find("sound", registry=registry).perform("registration")
    assert outcome.status is (CheckStatus.FAILED if wrong else CheckStatus.PASSED)
    if wrong:
        assert f"{wrong} = 'XY'" in outcome.text


TASK_HOOK = """
from harmbench import hookimpl
import pandas
@hookimpl
def register_tasks(sources):
    return {"sound-task": "broken_tasks:Sound"}
"""


def test_registration_of_a_task(tmp_path, monkeypatch):
    registry = registered(tmp_path, monkeypatch, "heavy_task", heavy_task=TASK_HOOK)
    outcome = find("sound-task", registry=registry).perform("registration")
    assert outcome.status is CheckStatus.FAILED
    assert "it loads" in outcome.text
    assert "pandas" in outcome.text


def test_an_expected_failure_has_a_reason_and_must_not_pass():
    result = outcomes(broken_methods.Excused)
    assert result["range"].status is CheckStatus.EXPECTED
    assert result["range"].text == "to have one"
    assert not failed(result)
    vain = outcomes(broken_methods.ExcusedInVain)["range"]
    assert vain.status is CheckStatus.FAILED
    assert "'range' from expected_failures" in vain.text


@pytest.mark.parametrize(
    ("declared", "message"),
    [({"rnage": "why"}, "did you mean 'range'"), ({"range": ""}, "needs a reason")],
)
def test_an_expected_failure_is_of_a_check_and_has_a_reason(declared, message):
    kind = type("Odd", (broken_methods.Sound,), {"expected_failures": declared})
    with pytest.raises(UserError, match=message):
        of_method(kind)


def test_check_method_and_check_task():
    report = check_method(broken_methods.Sound)
    assert report.name == "sound"
    assert "s a scan" in report.costs
    assert "MiB of peak memory" in report.costs
    assert check_task(broken_tasks.Sound).costs.startswith("set-up")
    with pytest.raises(AssertionError, match=r"'sound', check 'range'\nexpected  intensities in"):
        check_method(broken_methods.Doubles)
    with pytest.raises(UserError, match="did you mean 'histogram'"):
        check_method("histogramm")
    with pytest.raises(UserError, match="not derived from Method"):
        check_method(dict)
