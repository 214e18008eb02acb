"""The training loop: after an interruption at any step, the result is identical to the bit."""

from __future__ import annotations

import contextlib
import math
import os
import runpy
import signal
import subprocess
import sys

import pytest
import torch
from torch import nn

from harmbench import (
    DivergedError,
    FitProgress,
    Phase,
    SliceBatches,
    autocast,
    torch_generator,
    train,
)
from harmbench.util.precision import has_bfloat16

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
STEPS = 24


class Network(nn.Module):
    """State of every sort: batch statistics, the random stream of dropout, a flag set once."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Conv2d(4, 1, 3, padding=1),
        )
        self.register_buffer("scale", torch.zeros(()))

    def forward(self, x):
        if self.training and float(self.scale) == 0:
            self.scale.copy_(x.detach().std())
        return x + self.layers(x[:, None] / self.scale)[:, 0]


class Pool:
    """A CycleGAN's image pool: returns one of the latest images, drawn at random."""

    def __init__(self, generator):
        self.images, self.generator = [], generator

    def swap(self, images):
        self.images = [*self.images, images][-5:]
        return self.images[int(torch.randint(len(self.images), (), generator=self.generator))]

    def state_dict(self):
        return {"images": self.images, "generator": self.generator.get_state()}

    def load_state_dict(self, state):
        self.images = list(state["images"])
        self.generator.set_state(state["generator"])


def network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Network()


def adam(module, rate=1e-2):
    optimizer = torch.optim.Adam(module.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    return {"optimizer": optimizer, "schedule": schedule}


def fit_plain(cohort, progress, rate=1e-2, **options):
    """Denoise slices, with a separate noise generator and a validation."""
    target = cohort.scans("target", "train")
    held_out = cohort.scans("target", "validation").slices(torch.arange(6))
    model, noise = network(), torch_generator(0, "noise")

    def loss(x):
        noisy = x + 0.1 * torch.randn(x.shape, generator=noise)
        return (model(noisy) - x).square().mean()

    batches = SliceBatches(target, size=4, device=CPU, generator=torch_generator(0, "batches"))
    torch.manual_seed(7)
    train(
        model,
        batches,
        Phase(loss=loss, **adam(model, rate), max_norm=0.5),
        progress,
        name="plain",
        steps=STEPS,
        keep=[noise],
        validate=lambda: float((model(held_out) - held_out).abs().mean()),
        validate_every=5,
        **options,
    )
    return model.state_dict()


def fit_micro(cohort, progress):
    return fit_plain(cohort, progress, micro_batches=2)


def fit_adversarial(cohort, progress):
    """Two phases: a generator, and a discriminator that is trained on a pool of its images."""
    source, target = cohort.scans("domain1", "train"), cohort.scans("target", "train")
    generator, discriminator = network(0), network(1)
    pool = Pool(torch_generator(0, "pool"))
    fakes = []

    def generators(x, y):
        fake = generator(x)
        fakes.append(fake.detach())
        realism = (discriminator(fake) - 1).square().mean()
        likeness = (fake - x).abs().mean()
        return {"loss": realism + likeness, "likeness": likeness}

    def discriminators(x, y):
        fake = pool.swap(fakes.pop())
        return discriminator(fake).square().mean() + (discriminator(y) - 1).square().mean()

    batches = SliceBatches(
        source, target, size=4, device=CPU, generator=torch_generator(0, "batches")
    )
    torch.manual_seed(7)
    train(
        generator,
        batches,
        [
            Phase(loss=generators, **adam(generator), name="generators"),
            Phase(loss=discriminators, **adam(discriminator), name="discriminators"),
        ],
        progress,
        name="adversarial",
        steps=STEPS,
        keep=[discriminator, pool],
    )
    return generator.state_dict() | {f"d.{k}": v for k, v in discriminator.state_dict().items()}


FITS = {"plain": fit_plain, "micro": fit_micro, "adversarial": fit_adversarial}


@pytest.fixture(scope="module")
def whole(small_cohort):
    """State and progress of uninterrupted fits by name."""
    results = {}
    for name, fit in FITS.items():
        progress = FitProgress()
        results[name] = fit(small_cohort, progress), progress
    return results


@pytest.mark.parametrize("name", FITS)
@pytest.mark.parametrize("notes", [[1], [2, 11], [STEPS]], ids=str)
def test_a_resumed_fit_is_identical_to_an_uninterrupted_fit(
    name, notes, whole, small_cohort, tmp_path, kills, assert_equal
):
    done = 0
    for note in notes:
        with pytest.raises(kills.Killed):
            FITS[name](small_cohort, FitProgress(kills(note), tmp_path, checkpoint_seconds=0))
        done += note - 1
    shown = kills()
    progress = FitProgress(shown, tmp_path, checkpoint_seconds=0)
    state = FITS[name](small_cohort, progress)
    expected, uninterrupted = whole[name]
    assert_equal(state, expected)
    assert progress.curves == uninterrupted.curves
    assert progress.facts["steps_done"] == STEPS
    assert progress.facts.get("resumed_at", 0) == done
    messages = [line for line in shown.lines if f"resuming at step {done} of {STEPS}" in line]
    assert len(messages) == (done > 0)


def test_a_completed_fit_that_was_not_stored_is_not_trained_again(
    whole, small_cohort, tmp_path, kills, assert_equal
):
    fit_plain(small_cohort, FitProgress(checkpoints=tmp_path, checkpoint_seconds=0))
    shown = kills(note=1)
    assert_equal(
        fit_plain(small_cohort, FitProgress(shown, tmp_path, checkpoint_seconds=0)),
        whole["plain"][0],
    )
    assert shown.left == 1


def test_checkpoints_are_written_at_their_interval_and_at_the_end(small_cohort, tmp_path, kills):
    with pytest.raises(kills.Killed):
        fit_plain(small_cohort, FitProgress(kills(STEPS), tmp_path, checkpoint_seconds=3600))
    assert list(tmp_path.iterdir()) == []
    fit_plain(small_cohort, FitProgress(checkpoints=tmp_path, checkpoint_seconds=3600))
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("left", [0.0, 0.5, 0.99])
def test_a_damaged_checkpoint_is_logged_and_training_restarts(
    left, whole, small_cohort, tmp_path, kills, assert_equal
):
    with pytest.raises(kills.Killed):
        fit_plain(small_cohort, FitProgress(kills(9), tmp_path, checkpoint_seconds=0))
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    path.write_bytes(content[: int(left * len(content))])
    shown = kills()
    progress = FitProgress(shown, tmp_path, checkpoint_seconds=0)
    assert_equal(fit_plain(small_cohort, progress), whole["plain"][0])
    assert "resumed_at" not in progress.facts
    assert "a checkpoint is damaged, so the fit restarts" in shown.lines[0]
    assert progress.curves == whole["plain"][1].curves


def test_a_checkpoint_of_another_layout_is_not_loaded(small_cohort, tmp_path, kills):
    with pytest.raises(kills.Killed):
        fit_adversarial(small_cohort, FitProgress(kills(9), tmp_path, checkpoint_seconds=0))
    progress = FitProgress(checkpoints=tmp_path, checkpoint_seconds=0)
    fit_plain(small_cohort, progress)
    assert "resumed_at" not in progress.facts


SCRIPT = """
import sys, time
from pathlib import Path
import torch
from harmbench import FitProgress, Phase, train, torch_generator
from harmbench.util.progress import Silent

class Reporting(Silent):
    def __init__(self, pause):
        self.pause = pause
    def note(self, text):
        print("step", flush=True)
        time.sleep(self.pause)

class Noise:
    def __init__(self):
        self.generator = torch_generator(0, "batches")
    def draw(self):
        return (torch.randn(8, 16, generator=self.generator),)
    def state_dict(self):
        return {"generator": self.generator.get_state()}
    def load_state_dict(self, state):
        self.generator.set_state(state["generator"])

def fit(checkpoints, pause):
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(16, 64), torch.nn.Dropout(0.2), torch.nn.Linear(64, 16)
    )
    optimizer = torch.optim.Adam(model.parameters())
    progress = FitProgress(Reporting(pause), checkpoints, checkpoint_seconds=0)
    loss = lambda x: (model(x) - x).square().mean()
    train(model, Noise(), Phase(loss=loss, optimizer=optimizer), progress, name="fit", steps=60)
    return model.state_dict(), progress

state, progress = fit(Path(sys.argv[1]), float(sys.argv[2]))
whole, _ = fit(None, 0)
assert all(torch.equal(state[name], whole[name]) for name in whole)
print("resumed at", progress.facts.get("resumed_at", 0))
"""


def test_the_fit_of_a_killed_process_is_continued_and_identical_to_an_uninterrupted_one(
    tmp_path, monkeypatch, capsys, one_thread
):
    script = tmp_path / "fit.py"
    script.write_text(SCRIPT)
    checkpoints = tmp_path / "checkpoints"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), str(checkpoints)]
    with subprocess.Popen(
        [*command, "0.05"], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        for _ in range(20):
            assert process.stdout.readline() == "step\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    monkeypatch.setattr(sys, "argv", [str(script), str(checkpoints), "0"])
    runpy.run_path(str(script))
    resumed_at = int(capsys.readouterr().out.splitlines()[-1].removeprefix("resumed at "))
    assert 19 <= resumed_at < 60


@pytest.mark.parametrize("steps_between_reads", [1, 20])
@pytest.mark.parametrize("seconds", [0, 3600])
def test_divergence_names_the_step_and_is_never_saved(
    steps_between_reads, seconds, small_cohort, tmp_path, monkeypatch
):
    monkeypatch.setitem(
        sys.modules["harmbench.training.loop"].STEPS_BETWEEN_READS, "cpu", steps_between_reads
    )
    progress = FitProgress(checkpoints=tmp_path, checkpoint_seconds=seconds)
    with pytest.raises(
        DivergedError, match=r"plain: diverged at training step \d+ \(loss"
    ) as error:
        fit_plain(small_cohort, progress, rate=1e25)
    step = int(str(error.value).split("step ")[1].split()[0])
    assert (progress.curves[-1].step, math.isfinite(progress.curves[-1].value)) == (step, False)
    saved = [torch.load(path, weights_only=True)["state"] for path in tmp_path.iterdir()]
    assert len(saved) == (1 if seconds == 0 and step > 1 else 0)
    for state in saved:
        assert state["parts"]["record"]["step"] < step


def test_the_interval_between_reads_has_no_effect(whole, small_cohort, monkeypatch, assert_equal):
    monkeypatch.setitem(sys.modules["harmbench.training.loop"].STEPS_BETWEEN_READS, "cpu", 20)
    progress = FitProgress()
    assert_equal(fit_plain(small_cohort, progress), whole["plain"][0])
    assert progress.curves == whole["plain"][1].curves


def test_curves_and_facts_are_recorded(whole):
    progress = whole["plain"][1]
    by_name = {}
    for point in progress.curves:
        by_name.setdefault(point.name, {})[point.step] = point.value
    assert set(by_name) == {"loss", "gradient_norm", "learning_rate", "validation"}
    assert list(by_name["validation"]) == [5, 10, 15, 20, 24]
    assert list(by_name["loss"]) == list(range(1, STEPS + 1))
    for step, rate in by_name["learning_rate"].items():
        assert rate == pytest.approx(0.5e-2 * (1 + math.cos(math.pi * (step - 1) / STEPS)))
    assert progress.facts["slices_per_second"] > 0
    assert progress.facts["peak_memory_mib"] > 50
    names = {point.name for point in whole["adversarial"][1].curves}
    assert {"generators.loss", "generators.likeness", "discriminators.learning_rate"} <= names


def test_mixed_precision_is_bfloat16_where_the_hardware_supports_it(small_cohort):
    x = torch.ones(4, 4)
    with autocast(CPU):
        assert (x @ x).dtype == (torch.bfloat16 if has_bfloat16(CPU) else torch.float32)
    with autocast(CPU, enabled=False):
        assert (x @ x).dtype == torch.float32
    progress = FitProgress()
    state = fit_plain(small_cohort, progress, mixed_precision=True)
    assert progress.facts["mixed_precision"] is has_bfloat16(CPU)
    assert {value.dtype for value in state.values()} == {torch.float32, torch.int64}


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("cuda_graph", [False, True])
def test_a_fit_on_a_gpu_resumes_with_all_random_streams(target, tmp_path, kills, cuda_graph):
    device = torch.device("cuda")
    states = []
    for folder in (None, tmp_path):
        for note in (13, 0) if folder else (0,):
            model, noise = network().to(device), torch.Generator(device).manual_seed(0)

            def loss(x, model=model, noise=noise):
                u = torch.randn(x.shape, generator=noise, device=device)
                return (model(x + 0.1 * u) - x).square().mean()

            batches = SliceBatches(
                target, size=4, device=device, generator=torch_generator(0, "batches")
            )
            torch.manual_seed(7)
            progress = FitProgress(kills(note), folder, checkpoint_seconds=0)
            killed = pytest.raises(kills.Killed) if note else contextlib.nullcontext()
            with killed:
                train(
                    model,
                    batches,
                    Phase(loss=loss, **adam(model), cuda_graph=cuda_graph),
                    progress,
                    name="gpu",
                    steps=STEPS,
                    keep=[noise],
                    mixed_precision=True,
                )
        states.append(model.state_dict())
    assert progress.facts["resumed_at"] == 12
    assert progress.facts["peak_memory_mib"] > 0
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-2, atol=1e-3)
