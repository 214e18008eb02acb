"""The training loop: killed at any step and started again, it ends to the bit the same."""

from __future__ import annotations

import contextlib
import math
import os
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
from harmbench.training import batches as batches_module
from harmbench.training.batches import slice_reader
from harmbench.util.precision import has_bfloat16

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
STEPS = 24


class Network(nn.Module):
    """With all that a state may hide in: statistics, dropout's stream, a flag set once."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3),
            nn.Conv2d(4, 1, 3, padding=1),
        )  # fmt: skip
        self.register_buffer("scale", torch.zeros(()))

    def forward(self, x):
        if self.training and float(self.scale) == 0:
            self.scale.copy_(x.detach().std())
        return x + self.layers(x[:, None] / self.scale)[:, 0]


class Pool:
    """Earlier images, of which one is drawn at random: a CycleGAN's image pool."""

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


@pytest.fixture
def target(small_cohort):
    return small_cohort.scans("target", "train")


def fit_plain(cohort, progress, rate=1e-2, **options):
    """Denoise slices, with noise of a generator of its own and a validation."""
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
    """Two phases: a generator, and a discriminator that sees a pool of its images."""
    source, target = cohort.scans("domain1", "train"), cohort.scans("target", "train")
    generator, discriminator = network(0), network(1)
    pool = Pool(torch_generator(0, "pool"))
    made = []

    def generators(x, y):
        fake = generator(x)
        made.append(fake.detach())
        realism = (discriminator(fake) - 1).square().mean()
        likeness = (fake - x).abs().mean()
        return {"loss": realism + likeness, "likeness": likeness}

    def discriminators(x, y):
        fake = pool.swap(made.pop())
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
    """State and progress of fits that nothing interrupted, by name."""
    results = {}
    for name, fit in FITS.items():
        progress = FitProgress()
        results[name] = fit(small_cohort, progress), progress
    return results


@pytest.mark.parametrize("name", FITS)
@pytest.mark.parametrize("notes", [[1], [2, 11], [STEPS]], ids=str)
def test_a_fit_killed_anywhere_ends_to_the_bit_the_same(
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
    told = [line for line in shown.lines if f"resuming at step {done} of {STEPS}" in line]
    assert len(told) == (done > 0)


def test_a_fit_that_had_ended_but_was_not_stored_is_not_trained_again(
    whole, small_cohort, tmp_path, kills, assert_equal
):
    fit_plain(small_cohort, FitProgress(checkpoints=tmp_path, checkpoint_seconds=0))
    shown = kills(note=1)
    assert_equal(
        fit_plain(small_cohort, FitProgress(shown, tmp_path, checkpoint_seconds=0)),
        whole["plain"][0],
    )
    assert shown.left == 1


def test_between_checkpoints_nothing_is_written_until_the_end(small_cohort, tmp_path, kills):
    with pytest.raises(kills.Killed):
        fit_plain(small_cohort, FitProgress(kills(STEPS), tmp_path, checkpoint_seconds=3600))
    assert list(tmp_path.iterdir()) == []
    fit_plain(small_cohort, FitProgress(checkpoints=tmp_path, checkpoint_seconds=3600))
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("left", [0.0, 0.5, 0.99])
def test_a_damaged_checkpoint_is_told_and_training_starts_anew(
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


def test_a_checkpoint_that_does_not_fit_is_not_met(small_cohort, tmp_path, kills):
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

class Told(Silent):
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
    progress = FitProgress(Told(pause), checkpoints, checkpoint_seconds=0)
    loss = lambda x: (model(x) - x).square().mean()
    train(model, Noise(), Phase(loss=loss, optimizer=optimizer), progress, name="fit", steps=60)
    return model.state_dict(), progress

state, progress = fit(Path(sys.argv[1]), float(sys.argv[2]))
whole, _ = fit(None, 0)
assert all(torch.equal(state[name], whole[name]) for name in whole)
print("resumed at", progress.facts.get("resumed_at", 0))
"""


def test_a_process_killed_in_earnest_goes_on_and_ends_to_the_bit_the_same(tmp_path):
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
    again = subprocess.run(
        [*command, "0"], capture_output=True, text=True, env=environment, check=True
    )
    resumed_at = int(again.stdout.splitlines()[-1].removeprefix("resumed at "))
    assert 19 <= resumed_at < 60


@pytest.mark.parametrize("steps_between_looks", [1, 20])
@pytest.mark.parametrize("seconds", [0, 3600])
def test_divergence_is_told_by_step_and_never_saved(
    steps_between_looks, seconds, small_cohort, tmp_path, monkeypatch
):
    monkeypatch.setitem(
        sys.modules["harmbench.training.loop"].STEPS_BETWEEN_LOOKS, "cpu", steps_between_looks
    )
    progress = FitProgress(checkpoints=tmp_path, checkpoint_seconds=seconds)
    with pytest.raises(DivergedError, match=r"plain: diverged at training step \d+ \(loss") as told:
        fit_plain(small_cohort, progress, rate=1e25)
    step = int(str(told.value).split("step ")[1].split()[0])
    assert (progress.curves[-1].step, math.isfinite(progress.curves[-1].value)) == (step, False)
    saved = [torch.load(path, weights_only=True)["state"] for path in tmp_path.iterdir()]
    assert len(saved) == (1 if seconds == 0 and step > 1 else 0)
    for state in saved:
        assert state["step"] < step


def test_looking_seldom_changes_nothing(whole, small_cohort, monkeypatch, assert_equal):
    monkeypatch.setitem(sys.modules["harmbench.training.loop"].STEPS_BETWEEN_LOOKS, "cpu", 20)
    progress = FitProgress()
    assert_equal(fit_plain(small_cohort, progress), whole["plain"][0])
    assert progress.curves == whole["plain"][1].curves


def test_curves_and_facts_say_what_happened(whole):
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


def test_a_point_of_a_curve_is_the_mean_since_the_last_one():
    model = nn.Linear(1, 1)
    values = iter(range(1, 121))

    class Counting:
        def draw(self):
            return (torch.full((2, 1), float(next(values))),)

        def state_dict(self):
            return {}

        def load_state_dict(self, state):
            pass

    progress = FitProgress()
    train(
        model,
        Counting(),
        Phase(
            loss=lambda x: x.mean() + 0 * model(x).sum(),
            optimizer=torch.optim.SGD(model.parameters(), 0.1),
        ),
        progress,
        name="counting",
        steps=120,
    )
    points = [(point.step, point.value) for point in progress.curves if point.name == "loss"]
    assert points == [(step, step - 1.0) for step in range(3, 121, 3)]


def test_the_state_that_validated_best_is_left(small_cohort, kills):
    model = nn.Linear(4, 4)
    looks = iter([3.0, math.nan, 1.0, 2.0])
    seen = []

    def validate():
        assert not model.training
        assert not torch.is_grad_enabled()
        seen.append(model.weight.clone())
        return next(looks)

    class Ones:
        def draw(self):
            return (torch.ones(1, 4),)

        def state_dict(self):
            return {}

        def load_state_dict(self, state):
            pass

    shown = kills()
    phase = Phase(
        loss=lambda x: model(x).square().mean(), optimizer=torch.optim.SGD(model.parameters(), 0.1)
    )
    best = train(
        model, Ones(), phase, FitProgress(shown), name="best", steps=8,
        validate=validate, validate_every=2, measure="error",
    )  # fmt: skip
    assert best == 1.0
    assert torch.equal(model.weight, seen[2])
    assert not torch.equal(seen[2], seen[3])
    assert not model.training
    assert shown.lines == ["best: error 1 on validation, at step 6 of 8"]


def test_micro_batches_sum_to_the_gradient_of_the_whole_batch(target):
    states = []
    for parts in (1, 3):  # 8 slices in three parts are 3, 3 and 2
        model = nn.Conv2d(1, 1, 3)
        nn.init.constant_(model.weight, 0.1)
        nn.init.constant_(model.bias, 0.0)
        batches = SliceBatches(target, size=8, device=CPU, generator=torch_generator(0, "b"))
        phase = Phase(
            loss=lambda x, model=model: model(x[:, None]).square().mean(),
            optimizer=torch.optim.SGD(model.parameters(), 0.1),
        )
        train(model, batches, phase, FitProgress(), name="parts", steps=3, micro_batches=parts)
        states.append(model.weight.detach())
    torch.testing.assert_close(states[0], states[1], rtol=1e-5, atol=1e-7)


def test_a_phase_computes_no_gradients_of_what_only_others_change(target):
    ours, theirs, fixed = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)
    fixed.requires_grad_(False)
    seen = []

    def loss(x):
        seen.append([module.weight.requires_grad for module in (ours, theirs, fixed)])
        return fixed(theirs(ours(x[:, None]))).square().mean()

    batches = SliceBatches(target, size=2, device=CPU, generator=torch_generator(0, "b"))
    train(
        nn.ModuleList([ours, theirs, fixed]),
        batches,
        [
            Phase(loss=loss, optimizer=torch.optim.SGD(ours.parameters(), 0.1), name="ours"),
            Phase(
                loss=loss,
                optimizer=torch.optim.SGD([*theirs.parameters(), fixed.weight], 0.1),
                name="theirs",
            ),
        ],
        FitProgress(),
        name="phases",
        steps=1,
    )
    assert seen == [[True, False, False], [False, True, False]]
    assert ours.weight.requires_grad
    assert not fixed.weight.requires_grad


def test_phases_without_names_of_their_own_are_refused(target):
    model = nn.Conv2d(1, 1, 1)
    phase = Phase(loss=lambda x: x.mean(), optimizer=torch.optim.SGD(model.parameters(), 0.1))
    with pytest.raises(ValueError, match="names that differ"):
        train(model, None, [phase, phase], FitProgress(), name="two", steps=1)


def test_slices_are_the_same_from_memory_and_from_disk(target, monkeypatch):
    indices = torch.tensor([5, 0, 23, 5])
    monkeypatch.setattr(batches_module, "_SLICES_PER_READ", 7)
    resident = slice_reader(target, CPU)(indices)
    monkeypatch.setattr(batches_module, "RESIDENT_BYTES", 0)
    assert torch.equal(slice_reader(target, CPU)(indices), resident)
    scans = target.load(range(len(target))).images.flatten(0, 1)
    assert torch.equal(resident, scans[indices])


def test_pairs_come_together_and_others_by_themselves(small_cohort):
    source, target = small_cohort.pairs("domain1", "train")
    options = {"size": 16, "device": CPU}
    flat = [part.load(range(len(part))).images.flatten(0, 1) for part in (source, target)]

    def indices(paired):
        batches = SliceBatches(
            source, target, paired=paired, generator=torch_generator(0, "b"), **options
        )
        drawn = batches.draw()
        return [
            [int((images == x).all(dim=(1, 2)).nonzero()[0]) for x in part]
            for images, part in zip(flat, drawn, strict=True)
        ]

    first, second = indices(paired=True)
    assert first == second
    assert len(set(first)) > 4
    first, second = indices(paired=False)
    assert first != second


def test_sets_that_cannot_be_drawn_from_are_refused(small_cohort, target):
    options = {"size": 2, "device": CPU, "generator": torch.Generator()}
    with pytest.raises(ValueError, match="no slices"):
        SliceBatches(target.subset([]), **options)
    with pytest.raises(ValueError, match="one length"):
        SliceBatches(target, target.subset([0]), paired=True, **options)


def test_mixed_precision_is_bfloat16_where_the_hardware_has_it(small_cohort):
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
def test_a_fit_on_a_gpu_goes_on_with_all_its_streams(target, tmp_path, kills):
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
                    model, batches, Phase(loss=loss, **adam(model)), progress, name="gpu",
                    steps=STEPS, keep=[noise], mixed_precision=True,
                )  # fmt: skip
        states.append(model.state_dict())
    assert progress.facts["resumed_at"] == 12
    assert progress.facts["peak_memory_mib"] > 0
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-2, atol=1e-3)
