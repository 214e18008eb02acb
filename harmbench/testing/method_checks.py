"""What every method must hold to."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch
from torch import Tensor

from harmbench.contracts.model import Model
from harmbench.contracts.needs import Needs
from harmbench.data.scans import Scans
from harmbench.errors import HarmbenchError, one_line
from harmbench.execution.plan import settings
from harmbench.plugins import Entry
from harmbench.testing.checks import CheckFailure, CheckList, NotApplicable
from harmbench.testing.method_candidate import (
    CountingProgress,
    Killed,
    MethodCandidate,
    reseed_global_rngs,
)
from harmbench.training import loop as training
from harmbench.util.hashing import canonical

METHOD_CHECKS: CheckList[MethodCandidate] = CheckList()

# What two computations of the same thing may differ by: the order of sums.
SAME = 1e-5
# The same on a CPU and on a GPU, whose convolutions round to ten bits.
SIMILAR = 5e-3
# Loading one of these takes longer than `harmbench --help` may.
HEAVY = ("torch", "monai", "mlflow", "pandas")
ORIGINS_OF_FILES = ("--plugin", "user folder")


def max_difference(a: Tensor, b: Tensor) -> float:
    """Return the greatest difference; what is NaN in both does not differ, in one infinitely."""
    nowhere = a.isnan() & b.isnan()
    return float(torch.where(nowhere, 0, (a - b).abs().nan_to_num(nan=torch.inf)).max())


def check_registration(kind: str, entry: Entry | None, name: str, summary: str) -> None:
    """Check how a name is registered.

    Raises
    ------
    CheckFailure, NotApplicable
        As of any check.
    """
    if entry is None:
        raise NotApplicable("a class was given, not a registered name")
    if name != entry.name:
        raise CheckFailure(
            f"the {kind} registered as '{entry.name}' has that name",
            f"name = {name!r}",
            f'set name = "{entry.name}", or register it under its own name',
        )
    if not summary.strip() or "\n" in summary:
        raise CheckFailure(
            "a summary of one line, for `harmbench list`",
            f"summary = {summary!r}",
            'set summary = "what it does, in one line"',
        )
    if entry.plugin.origin in ORIGINS_OF_FILES:
        raise NotApplicable("a single file is loaded with all that it imports")
    module = getattr(entry.plugin.module, "__name__", "")
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        f"import importlib; importlib.import_module({module!r})\n"
        f"print(','.join(name for name in {HEAVY!r} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CheckFailure(
            f"the module '{module}' can be imported",
            done.stderr.strip().splitlines()[-1],
            f"mend `python -c 'import {module}'`",
        )
    found = done.stdout.strip()
    if found:
        raise CheckFailure(
            f"importing '{module}', which registers, loads no heavy library",
            f"it loads {found.replace(',', ', ')}",
            f'register "package.module:Class" in a module that does not import the {kind}',
        )


@METHOD_CHECKS.add("registration")
def registration(candidate: MethodCandidate) -> None:
    """It is registered under its name, with a summary, without loading torch."""
    method = candidate.method
    if not isinstance(getattr(method, "needs", None), Needs):
        raise CheckFailure(
            "needs is one of Needs.NOTHING, TARGET, UNPAIRED, PAIRED",
            f"needs = {getattr(method, 'needs', None)!r}",
            "set needs = Needs.TARGET if it learns from the target's scans alone",
        )
    check_registration("method", candidate.entry, method.name, getattr(method, "summary", ""))


@METHOD_CHECKS.add("presets")
def presets(candidate: MethodCandidate) -> None:
    """Every preset is an instance of its Config."""
    method = candidate.method
    if not dataclasses.is_dataclass(method.Config):
        raise CheckFailure(
            "Config is a frozen dataclass",
            f"{method.Config!r}",
            "decorate it @dataclass(frozen=True)",
        )
    for name, preset in method.presets.items():
        if not isinstance(preset, method.Config):
            raise CheckFailure(
                f"the preset '{name}' is a {method.Config.__name__}",
                f"it is a {type(preset).__name__}",
                f"set Config = {type(preset).__name__}, or make the preset a "
                f"{method.Config.__name__}",
            )


@METHOD_CHECKS.add("config")
def config(candidate: MethodCandidate) -> None:
    """Its settings go through JSON and back, and its ablations can be set."""
    given = candidate.config
    mend = "use fields of str, bool, int, float, Literal, and tuples of them, with type hints"
    try:
        written = json.loads(json.dumps(canonical(given)))
        read = settings.change(candidate.name, given, written, "read")
    except (TypeError, ValueError, HarmbenchError) as error:
        raise CheckFailure("settings of JSON types", one_line(error), mend) from error
    if read != given:
        raise CheckFailure(f"{given} after writing and reading it", f"{read}", mend)
    for title, changed in candidate.method.ablations.items():
        try:
            settings.change(candidate.name, given, changed, f"ablation '{title}':")
        except HarmbenchError as error:
            raise CheckFailure(
                f"the ablation '{title}' changes settings that there are",
                str(error),
                "name fields of Config, with values of their types",
            ) from error


@METHOD_CHECKS.add("fit")
def fit(candidate: MethodCandidate) -> None:
    """It can be fitted on a few small scans."""
    if not candidate.method.learns():
        candidate.built()
        raise NotApplicable("there is nothing to fit")
    candidate.built()
    if candidate.withheld_is_asked_for:
        raise NotApplicable("it asks for more than it declares; see the check 'needs'")
    if candidate.fault is not None:
        raise CheckFailure(
            "a fit that ends well, with finite numbers",
            one_line(candidate.fault),
            "try Method.fit on the scans of harmbench.testing.tiny_cohort(); where the grid is "
            "too small for your settings, add a preset 'tiny'",
        ) from candidate.fault


@METHOD_CHECKS.add("needs")
def needs(candidate: MethodCandidate) -> None:
    """It gets by with the data that it declares to need, all else being withheld."""
    method = candidate.method
    if method.needs is Needs.NOTHING and method.fit is not Model.fit:
        raise CheckFailure(
            "no `fit`, since needs = Needs.NOTHING",
            "a `fit` that is never called",
            "declare what it learns from, such as needs = Needs.TARGET",
        )
    asked = candidate.withheld_is_asked_for
    if asked:
        raise CheckFailure(
            f"a fit on what needs = {method.needs} entitles to",
            f"it wants more: {asked}",
            "declare Needs.UNPAIRED if it learns from the source's scans, Needs.PAIRED if from "
            "pairs; labels are never handed to methods",
        )


@METHOD_CHECKS.add("harmonize")
def harmonize(candidate: MethodCandidate) -> None:
    """It harmonises two scans without an error."""
    candidate.fitted  # noqa: B018 - to be skipped where there is none
    if candidate.output_fault is not None:
        raise CheckFailure(
            "`forward` returns harmonised scans",
            one_line(candidate.output_fault),
            "scans come without labels and without truth; see the traceback of "
            "`harmbench run`'s log for the place",
        ) from candidate.output_fault


@METHOD_CHECKS.add("shape")
def shape(candidate: MethodCandidate) -> None:
    """It returns scans of the same shape, type and subjects."""
    made, source = candidate.output, candidate.source
    mend = "return scans.with_images(images), with images (N, S, H, W) as they came in"
    if not isinstance(made, Scans):
        raise CheckFailure("Scans", f"a {type(made).__name__}", mend)
    for what, came, expected in (
        ("shape", tuple(made.images.shape), tuple(source.images.shape)),
        ("type", made.images.dtype, torch.float32),
        ("people", made.subjects, source.subjects),
    ):
        if came != expected:
            raise CheckFailure(f"images of the {what} {expected}", f"{came}", mend)


@METHOD_CHECKS.add("finite")
def finite(candidate: MethodCandidate) -> None:
    """Everything it returns is finite."""
    wrong = int((~candidate.images.isfinite()).sum())
    if wrong:
        raise CheckFailure(
            "finite intensities",
            f"{wrong} of {candidate.images.numel()} voxels are infinite or not-a-number",
            "look for divisions by zero, logarithms and roots, also where the mask is empty",
        )


@METHOD_CHECKS.add("range")
def in_range(candidate: MethodCandidate) -> None:
    """Everything it returns lies in [0, 1]."""
    images = candidate.images[candidate.images.isfinite()]
    low, high = (float(images.min()), float(images.max())) if images.numel() else (0.0, 1.0)
    if low < -1e-6 or high > 1 + 1e-6:
        raise CheckFailure(
            "intensities in [0, 1]",
            f"they span [{low:.4g}, {high:.4g}]",
            "end `forward` with images.clamp(0, 1), or find out why it leaves the range",
        )


@METHOD_CHECKS.add("input")
def untouched(candidate: MethodCandidate) -> None:
    """The scans that it is given stay as they are."""
    candidate.output  # noqa: B018 - to be skipped where there is none
    given = candidate.given(candidate.source)
    candidate.apply(candidate.fitted, given)
    for name in ("images", "masks"):
        changed = int((getattr(given, name) != getattr(candidate.source, name)).sum())
        if changed:
            raise CheckFailure(
                f"scans.{name} as before",
                f"{changed} voxels of it were changed",
                "no operations in place (`+=`, `clamp_`, `x[...] = `) on what came in: "
                "clone it first",
            )


@METHOD_CHECKS.add("background")
def background(candidate: MethodCandidate) -> None:
    """What is not brain stays as it is."""
    images, source = candidate.images, candidate.source
    outside = ~source.masks
    away = max_difference(images[outside], source.images[outside])
    if away > 1e-6 and away < torch.inf:
        raise CheckFailure(
            "outside of scans.masks the images that came in, which are 0 there",
            f"they differ by up to {away:.3g}",
            "end `forward` with torch.where(scans.masks, images, scans.images)",
        )


@METHOD_CHECKS.add("deterministic")
def deterministic(candidate: MethodCandidate) -> None:
    """Under one seed, a second fit and a second application give the same."""
    images = candidate.images
    mend = (
        "draw from harmbench.torch_generator(data.seed, ...) or from torch's own stream, which "
        "is seeded; not from `random` or numpy.random, nor from what depends on time or order"
    )
    reseed_global_rngs(2)
    away = max_difference(
        candidate.apply(candidate.fitted, candidate.given(candidate.source)).images, images
    )
    if away > SAME:
        raise CheckFailure(
            "the same answer to the same scans", f"answers differ by up to {away:.3g}", mend
        )
    reseed_global_rngs(3)
    other = candidate.again("second")
    away = max_difference(candidate.apply(other, candidate.given(candidate.source)).images, images)
    if away > SAME:
        raise CheckFailure(
            "the same answer of two fits under one seed", f"they differ by up to {away:.3g}", mend
        )


@METHOD_CHECKS.add("batches")
def batches(candidate: MethodCandidate) -> None:
    """Every scan of a batch is treated by itself."""
    images, source = candidate.images, candidate.source
    for place in range(len(source)):
        alone = dataclasses.replace(
            source,
            images=source.images[place : place + 1],
            masks=source.masks[place : place + 1],
            subjects=source.subjects[place : place + 1],
            sessions=source.sessions[place : place + 1],
        )
        made = candidate.apply(candidate.fitted, candidate.given(alone)).images
        away = max_difference(made[0], images[place])
        if away > SAME:
            raise CheckFailure(
                "a scan's answer does not depend on the scans beside it",
                f"alone and with another scan it differs by up to {away:.3g}",
                "take no mean, minimum, maximum or quantile over the first axis, and leave no "
                "batch normalisation in training mode",
            )


@METHOD_CHECKS.add("store")
def store(candidate: MethodCandidate) -> None:
    """Stored and loaded, it gives the same answer."""
    if not candidate.method.learns():
        raise NotApplicable("there is nothing to store")
    images = candidate.images
    fresh = candidate.built()
    stored = candidate.store("first").load(candidate.fit.key, fresh)
    mend = (
        "keep all that is learnt in parameters and in buffers (self.register_buffer in "
        "__init__, with its shape), and in nothing else"
    )
    if stored is None:
        raise CheckFailure("a state that can be loaded into a new instance", "it cannot", mend)
    away = max_difference(candidate.apply(fresh, candidate.given(candidate.source)).images, images)
    if away > SAME:
        raise CheckFailure(
            "the same answer after storing and loading", f"it differs by up to {away:.3g}", mend
        )


@contextmanager
def _checkpoints_at_every_step() -> Iterator[None]:
    usual = training.CHECKPOINT_SECONDS
    training.CHECKPOINT_SECONDS = 0.0
    try:
        yield
    finally:
        training.CHECKPOINT_SECONDS = usual


@METHOD_CHECKS.add("resume")
def resume(candidate: MethodCandidate) -> None:
    """A fit that was killed goes on from its checkpoint, and ends as if nothing had been."""
    if not candidate.method.learns():
        raise NotApplicable("there is nothing to fit")
    images = candidate.images
    whole = candidate.pulse.count
    if not whole:
        raise NotApplicable("it tells nothing of its progress, by which it could be stopped")
    with _checkpoints_at_every_step():
        with suppress(Killed):
            candidate.again("killed", CountingProgress(max(1, round(0.6 * whole))))
        if not any(candidate.store("killed").root.glob(".*.checkpoints/*")):
            raise NotApplicable("it keeps no checkpoints: a fit that is killed starts anew")
        rest = CountingProgress()
        reseed_global_rngs(4)
        resumed = candidate.again("killed", rest)
    mend = (
        "train with harmbench.train, or give progress.save all that the rest depends on, "
        "optimiser and generators included, and begin with progress.saved()"
    )
    if rest.count >= whole:
        raise CheckFailure(
            "a fit that goes on from its checkpoint",
            f"it took {rest.count} steps after the kill, and takes {whole} in all",
            mend,
        )
    away = max_difference(
        candidate.apply(resumed, candidate.given(candidate.source)).images, images
    )
    if away > SAME:
        raise CheckFailure(
            "the same answer as of a fit that was not killed",
            f"it differs by up to {away:.3g}",
            mend,
        )


@METHOD_CHECKS.add("empty")
def empty(candidate: MethodCandidate) -> None:
    """Scans without any brain, and of one intensity throughout, come out finite."""
    if not candidate.images.isfinite().all():
        raise NotApplicable("other scans are not finite, either; see the check 'finite'")
    source = candidate.source
    nothing = torch.zeros_like(source.images)
    cases = {
        "without a brain": (nothing, torch.zeros_like(source.masks)),
        "of one intensity": (torch.where(source.masks, 0.5, nothing), source.masks),
        "of zeros within the mask": (nothing, source.masks),
    }
    for what, (images, masks) in cases.items():
        scans = dataclasses.replace(source, images=images, masks=masks)
        mend = "treat an empty mask, and a spread of zero, as cases of their own"
        try:
            made = candidate.apply(candidate.fitted, candidate.given(scans)).images
        except Exception as error:
            raise CheckFailure(f"an answer to scans {what}", one_line(error), mend) from error
        wrong = int((~made.isfinite()).sum())
        if wrong:
            raise CheckFailure(
                f"a finite answer to scans {what}", f"{wrong} voxels are not finite", mend
            )


@METHOD_CHECKS.add("gpu")
def gpu(candidate: MethodCandidate) -> None:
    """On a GPU it gives what it gives on the CPU."""
    if not torch.cuda.is_available():
        raise NotApplicable("this machine has no CUDA device")
    images = candidate.images
    method = candidate.again("first").to("cuda")
    made = candidate.apply(method, candidate.given(candidate.source).to("cuda")).images.cpu()
    away = float((made - images).abs().mean())
    if not away <= SIMILAR:
        raise CheckFailure(
            f"a mean difference of at most {SIMILAR:g} between GPU and CPU",
            f"it is {away:.3g}",
            "make new tensors on the device of the scans (torch.zeros_like, "
            "device=scans.images.device), and keep sums in float32 or better",
        )
