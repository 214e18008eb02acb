"""`blindcurve`: learn from the target's own scans to undo what scanners do to intensities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.lr_scheduler import OneCycleLR

from harmbench import (
    FitData,
    FitProgress,
    Grid,
    Method,
    Needs,
    Phase,
    Scans,
    ScanSet,
    numpy_generator,
    seeded,
    torch_generator,
    train,
)

from .._cosine_field import Cosines
from ..blindharmony_ml.config import PRESETS as LIKELIHOOD_PRESETS
from ..blindharmony_ml.method import BlindHarmonyLikelihood
from ..blindharmony_ml.shrinkage import NaturalVariation
from .config import ABLATIONS, PRESETS, BlindCurveConfig
from .disturb import Disturbance, Family, disturbed, draw, draw_part, within
from .features import N_SURROUNDINGS, Surroundings, slice_step, two_scales
from .guard import Guard, layout
from .maps import Curve, Map, ascending, in_range, levels, quantiles_at
from .network import Networks, Voxels
from .ridge import Ridge, believed

# Levels of the population's quantiles that part the intensities of surroundings.
_PARTS = torch.tensor([3, 6, 9, 12, 15]) / 16
# Quantiles are drawn that depart from the population's by so many natural deviations.
_DEPARTURES = (1.0, 2.5)
_STRIDE = 3  # of the voxels that a field is estimated by
# Disturbances of each validation scan that a refinement must help on.
_PROOFS = 2
_STILL = 0.02  # length of a step, in coefficients, after which a field is found


class BlindCurve(Method):
    r"""Predict the bias field and the curve that were put on a scan of the target.

    Whatever monotone curve a scanner has, matching a scan's quantiles to the target
    population's takes it off, up to what is the subject's own: the anchor. What is left is
    learned from target scans that were disturbed at random:

    1. *Field.* Small networks guess for every voxel, from its surroundings, how much too
       bright it is. The smooth field that explains the guesses best is divided out, and the
       scan is looked at again. Networks that have not seen a subject say what fields target
       scans have by nature; one that is no more likely than those is left alone
       (`NaturalVariation.excess`).
    2. *Curve.* How strong texture and noise are at each intensity tells how the matched scan
       is stretched against this subject's own: a linear regression predicts how this subject's
       quantiles depart from the population's, and is asked again where that is far. Subjects
       unlike those that were seen are made of parts of scans.

    What the scan is mapped by is a field of few cosines and one smooth monotone curve
    (`maps`), so nothing can be painted.

    With `refine`, a flow of the target goes on with the curve: by maximum likelihood with the
    change-of-variables term (`BlindHarmonyLikelihood`), as far as that helps on disturbed
    scans of subjects that were held out.

    Attributes
    ----------
    knots
        `(K + 1,)`: mean quantiles of the target's subjects.
    components
        `(C, K + 1)`: how subjects' quantiles depart from them, in deviations.
    slicewise
        Whether the target's slices were min-max scaled one by one.
    gain
        Part of the refinement that is applied, in [0, 1].
    """

    name = "blindcurve"
    summary = "learns to undo random curves and bias fields put on the target's own scans"
    needs = Needs.TARGET
    Config = BlindCurveConfig
    presets = PRESETS
    ablations = ABLATIONS

    config: BlindCurveConfig
    knots: Tensor
    components: Tensor
    slicewise: Tensor
    curve_mean: Tensor
    curve_deviation: Tensor
    curve_weights: Tensor
    curve_expected: Tensor
    spread: Tensor
    field_mean: Tensor
    field_covariance: Tensor
    gain: Tensor

    def __init__(self, grid: Grid, config: Any = None) -> None:
        super().__init__(grid, config)
        config = self.config
        self.cosines = Cosines(config.degree)
        self.networks = self._new_networks(seed=0)
        P, C, K, D = len(self.cosines.terms), config.components, config.knots, 8 * config.textures
        self.register_buffer("knots", torch.zeros(K + 1))
        self.register_buffer("components", torch.zeros(C, K + 1))
        self.register_buffer("slicewise", torch.zeros((), dtype=torch.bool))
        self.register_buffer("curve_mean", torch.zeros(D))
        self.register_buffer("curve_deviation", torch.ones(D))
        self.register_buffer("curve_weights", torch.zeros(D, K + 1))
        self.register_buffer("curve_expected", torch.zeros(K + 1))
        self.register_buffer("spread", torch.ones(()))
        self.register_buffer("field_mean", torch.zeros(P))
        self.register_buffer("field_covariance", torch.eye(P))
        self.guard = Guard()
        if config.refine:
            self.likelihood = BlindHarmonyLikelihood(grid, LIKELIHOOD_PRESETS[config.refine])
            self.likelihood.requires_grad_(False).eval()
            self.register_buffer("gain", torch.zeros(()))

    @classmethod
    def parts(cls, config: Any) -> Mapping[str, tuple[type[Method], Any]]:
        """Name the method whose likelihood refines the curve, if one is to."""
        if not config.refine:
            return {}
        return {"likelihood": (BlindHarmonyLikelihood, LIKELIHOOD_PRESETS[config.refine])}

    def _new_networks(self, seed: int) -> Networks:
        with seeded(seed, self.name, "weights"):
            return Networks(self.config.folds, N_SURROUNDINGS, self.config.hidden)

    # Fitting

    def fit(self, data: FitData, progress: FitProgress) -> None:
        """Learn from the target's scans: what subjects are like, then the field, then the curve."""
        own = data.target
        subjects = sorted(set(own.subjects))
        whose = torch.tensor([subjects.index(subject) for subject in own.subjects])
        quantiles = self._learn_subjects(own)
        self._learn_fields(own, whose, data.seed, progress)
        self._learn_natural_fields(own, whose, data.validation)
        self._learn_curves(own, whose, quantiles, data.seed, progress)
        if self.config.refine:
            self._learn_gain(data.validation, data.seed, progress)

    def _learn_subjects(self, own: ScanSet) -> Tensor:
        """Learn the population's quantiles and their variation; return the scans' `(N, K + 1)`."""
        at = levels(self.config.knots)
        found, slicewise = [], True
        for scan in own.batches():
            image, mask = scan.images[0], scan.masks[0]
            found.append(quantiles_at(image[mask], at) if bool(mask.any()) else None)
            highest = image.amax(dim=(-2, -1))[mask.any(dim=-1).any(dim=-1)]
            slicewise &= bool((highest > 1 - 1e-4).all())
        seen = [q for q in found if q is not None]
        mean = torch.stack(seen).mean(dim=0)
        quantiles = torch.stack([mean if q is None else q for q in found])
        self.slicewise.fill_(slicewise)
        self.knots.copy_(mean)
        # A quantile stands for the voxels around it: so weighted, errors are those of images.
        weight = _share(at).clamp_min(1e-4).sqrt()
        _, size, ways = torch.linalg.svd((quantiles - mean) * weight, full_matrices=False)
        count = min(len(self.components), len(seen) - 1)
        scaled = size[:count, None] * ways[:count] / weight / max(1, len(seen) - 1) ** 0.5
        self.components.zero_()
        self.components[:count] = scaled.to(self.components)
        return quantiles

    def _family(self, *, fields: bool) -> Family:
        config = self.config
        return Family(
            config.field_strength if fields else 1.0,
            config.curve_power,
            config.curve_concentration,
            config.noise,
            config.blur,
        )

    def _draws(
        self, own: ScanSet, purpose: str, count: int, family: Family, seed: int
    ) -> Iterator[tuple[int, Disturbance, np.random.Generator]]:
        """Draw disturbances of `count` scans in turn, each from a stream of its own."""
        for n in range(count):
            random = numpy_generator(seed, self.name, purpose, n)
            yield n % len(own), draw(random, family, self.cosines), random

    def _learn_fields(self, own: ScanSet, whose: Tensor, seed: int, progress: FitProgress) -> None:
        """Train the networks on voxels of disturbed scans."""
        config = self.config
        pool: list[tuple[Tensor, Tensor, Tensor]] = []
        draws = self._draws(
            own, "fields", config.field_disturbances, self._family(fields=True), seed
        )
        for n, disturbance, random in progress.track(
            draws, "blindcurve: disturbed scans", config.field_disturbances
        ):
            image, mask = _scan(own, n, self.device)
            seen = disturbed(image, mask, disturbance, self.cosines, bool(self.slicewise))
            if not bool(mask.any()):
                continue
            # Subjects differ by nature; so much is not the field's doing.
            some = torch.from_numpy(0.5 * random.standard_normal(len(self.components))).float()
            anchor = self._anchor(seen[mask], self._other_subjects(some))
            step = slice_step(self.grid)
            part = seen[::step]
            around = self._surroundings(part, mask[::step], anchor, len(seen))
            chosen = torch.from_numpy(random.permutation(len(around.features))[: config.voxels])
            coefficients = torch.tensor(disturbance.field, device=self.device) / anchor.exponent
            shown = self._visible(part, around, chosen.to(self.device), len(seen)) @ coefficients
            owner = torch.full((len(chosen),), int(whose[n]) % config.folds, device=self.device)
            pool.append((around.features[chosen.to(self.device)], shown, owner))
        features, shown, owner = (torch.cat(parts) for parts in zip(*pool, strict=True))
        self.networks.load_state_dict(self._new_networks(seed).state_dict())
        self.networks.mean.copy_(features.mean(dim=0))
        self.networks.deviation.copy_(features.std(dim=0).clamp_min(1e-4))
        optimizer = torch.optim.AdamW(
            self.networks.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        steps = config.training_steps
        schedule = OneCycleLR(optimizer, config.learning_rate, total_steps=steps + 1, pct_start=0.1)
        # A network is not taught by the subjects of its own fold; with one fold alone it is.
        folds = torch.arange(config.folds, device=self.device)[:, None]

        def squared_error(x: Tensor, y: Tensor, fold: Tensor) -> Tensor:
            taught = ((fold != folds) | (int(whose.max()) < 1) | (config.folds < 2)).to(x.dtype)
            error = (self.networks(x) - y).square()
            loss: Tensor = (taught * error).sum() / taught.sum().clamp_min(1)
            return loss

        train(
            self.networks,
            Voxels(
                features,
                shown,
                owner,
                size=config.batch_size,
                generator=torch_generator(seed, self.name, "voxels"),
            ),
            Phase(squared_error, optimizer, schedule),
            progress,
            name=self.name,
            steps=steps,
            measure="squared error of the field",
        )

    @torch.no_grad()
    def _learn_natural_fields(self, own: ScanSet, whose: Tensor, validation: ScanSet) -> None:
        """Estimate the fields of undisturbed scans by networks that have not seen them."""
        fields: list[Tensor] = []
        subjects: list[str] = []
        for scans, folds in ((own, (whose % self.config.folds).tolist()), (validation, None)):
            for n in range(len(scans)):
                image, mask = _scan(scans, n, self.device)
                if bool(mask.any()):
                    field, _ = self._field(image, mask, None if folds is None else folds[n])
                    fields.append(field.cpu())
                    subjects.append(scans.subjects[n])
        variation = NaturalVariation.calibrated(torch.stack(fields), self.cosines.degrees, subjects)
        self.field_mean.copy_(variation.mean)
        self.field_covariance.copy_(variation.covariance)

    @torch.no_grad()
    def _learn_curves(
        self, own: ScanSet, whose: Tensor, quantiles: Tensor, seed: int, progress: FitProgress
    ) -> None:
        """Learn how textures tell what a subject's quantiles are."""
        config = self.config
        count = max(config.curve_disturbances, len(own))
        # Fields are taken off before, and what is left of them is no curve's doing.
        draws = self._draws(own, "curves", count, self._family(fields=False), seed)
        features, wanted, layouts = [], [], []
        at = levels(config.knots)
        for place, (n, disturbance, random) in enumerate(
            progress.track(draws, "blindcurve: disturbed curves", count)
        ):
            image, mask = _scan(own, n, self.device)
            if not bool(mask.any()):
                continue
            truth = image
            if place < len(own):  # the first are as they are, among the other subjects
                others = quantiles[whose != whose[n]]
                knots = others.mean(dim=0).to(self.knots) if len(others) else self.knots
                layouts.append(
                    layout(self._matched(image, mask, self._anchor(image[mask])), mask).cpu()
                )
            else:
                if config.noise or config.blur:
                    image = disturbed(image, mask, disturbance, self.cosines, bool(self.slicewise))
                if random.uniform() < config.partial:
                    mask = within(mask, draw_part(random))
                size = random.choice(_DEPARTURES)
                drawn = size * random.standard_normal(len(self.components))
                knots = self._other_subjects(torch.from_numpy(drawn).float())
            anchor = self._anchor(image[mask], knots)
            features.append(self._textures(image, mask, anchor).cpu())
            wanted.append(quantiles_at(truth[mask], at).cpu() - anchor.y.cpu())
        deviations = (quantiles - quantiles.mean(dim=0)).square() @ _share(at)
        self.spread.copy_(deviations.mean().sqrt())
        ridge = Ridge.of(torch.stack(features), torch.stack(wanted), 2, config.penalty)
        self.curve_mean.copy_(ridge.mean)
        self.curve_deviation.copy_(ridge.deviation)
        self.curve_weights.copy_(ridge.weights)
        self.curve_expected.copy_(ridge.expected)
        standard = (torch.stack(features) - ridge.mean) / ridge.deviation
        self.guard.learn(torch.stack(layouts), standard)

    @torch.no_grad()
    def _learn_gain(self, held_out: ScanSet, seed: int, progress: FitProgress) -> None:
        """Learn on disturbed scans of other subjects how far the likelihood leads the right way."""
        gains = torch.linspace(0, 1, 11).tolist()
        errors = torch.zeros(len(gains), dtype=torch.float64)
        count = _PROOFS * len(held_out)
        draws = self._draws(held_out, "refinement", count, self._family(fields=True), seed)
        for n, disturbance, _ in progress.track(draws, "blindcurve: refinement", count):
            scans = held_out.load([n]).to(self.device)
            truth, mask = scans.images[0], scans.masks[0]
            seen = disturbed(truth, mask, disturbance, self.cosines, bool(self.slicewise))
            found = self._map(seen, mask)
            if found.flag:
                continue
            curve = self._most_likely(found, seen, mask, scans, 0)
            for i, gain in enumerate(gains):
                mapped = self._refined(found, curve, gain)(seen, mask, self.cosines)
                # The logarithm, as PSNR has it: else the worst scan alone would count.
                error = (mapped - truth)[mask].square().mean()
                errors[i] += float(error.clamp_min(1e-12).log())
        self.gain.fill_(gains[int(errors.argmin())])
        progress.fact("gain", float(self.gain))

    # Harmonising

    def forward(self, scans: Scans) -> Scans:
        """Harmonise N scans, each by itself; what is not foreground stays as it is."""
        maps = self.maps(scans)
        results = [
            found(image, mask, self.cosines)
            for found, image, mask in zip(maps, scans.images, scans.masks, strict=True)
        ]
        images = torch.stack(results) if results else scans.images.clone()
        return replace(scans, images=images, flags=tuple(found.flag for found in maps))

    @torch.no_grad()
    def maps(self, scans: Scans) -> list[Map]:
        """Return what each of N scans is mapped by."""
        found = [self._map(i, m) for i, m in zip(scans.images, scans.masks, strict=True)]
        if not self.config.refine or float(self.gain) == 0:
            return found
        refined = []
        for n, its in enumerate(found):
            if its.flag:
                refined.append(its)
                continue
            curve = self._most_likely(its, scans.images[n], scans.masks[n], scans, n)
            refined.append(self._refined(its, curve, float(self.gain)))
        return refined

    def _most_likely(self, its: Map, image: Tensor, mask: Tensor, scans: Scans, n: int) -> Tensor:
        """Return the curve under which the flow finds a mapped scan most likely."""
        mapped = its(image, mask, self.cosines)
        signal = mask & (image > 0) & (mapped > 0)
        return self.likelihood.most_likely_curve(mapped, signal, scans, n)

    def _refined(self, its: Map, curve: Tensor, gain: float) -> Map:
        """Return a map whose curve goes on with a part of another one."""
        y = self.likelihood.curved(its.curve.y.clamp(0, 1), curve, gain)
        if not bool(y.isfinite().all()):
            return its
        return replace(its, curve=Curve(its.curve.x, ascending(y)))

    def _map(self, image: Tensor, mask: Tensor) -> Map:
        config, slicewise = self.config, bool(self.slicewise)
        field = torch.zeros_like(self.field_mean)
        if not bool(mask.any()):
            nothing = Curve(*2 * [torch.linspace(0, 1, config.knots + 1, device=image.device)])
            return Map(field, nothing, nothing, slicewise, "no foreground", unchanged=True)
        nothing = self._anchor(image[mask])
        if config.guard:
            flag = self.guard.layout_warning(layout(self._matched(image, mask, nothing), mask))
            if flag:
                return Map(field, nothing, nothing, slicewise, flag, unchanged=True)
        if config.field:
            found, exponent = self._field(image, mask, None)
            field = exponent * self._beyond_natural(found)
        bare = Map(field, nothing, nothing, slicewise).without_field(image, self.cosines)
        anchor = self._anchor(bare[mask])
        if not config.curve:
            return Map(field, anchor, anchor, slicewise)
        curve, before = anchor, torch.inf
        weight = _share(levels(config.knots).to(anchor.y))
        for look in range(config.looks):
            seen = self._textures(bare, mask, curve) - self.curve_mean
            standard = seen / self.curve_deviation
            flag = self.guard.texture_warning(standard) if config.guard and look == 0 else ""
            if flag:
                return Map(field, anchor, anchor, slicewise, flag)
            step = self.curve_expected + standard @ self.curve_weights
            size = float((step.square() @ weight).sqrt() / self.spread)
            # A regression is right nearby: from far off it is to be asked again, unless it
            # leads further and further away.
            if size >= before:
                break
            way = curve.y + step - anchor.y
            way = believed(way, way.square() @ weight / self.spread.square(), config.caution)
            curve, before = Curve(anchor.x, ascending(anchor.y + way)), size
            if size < config.settled:
                break
        return Map(field, curve, anchor, slicewise)

    def _anchor(self, values: Tensor, knots: Tensor | None = None) -> Curve:
        """Match a scan's foreground to the population's quantiles, or to given ones."""
        at = levels(self.config.knots).to(values.device)
        wanted = self.knots if knots is None else knots
        return Curve(ascending(quantiles_at(values, at)), ascending(wanted))

    def _other_subjects(self, ways: Tensor) -> Tensor:
        """Return the quantiles of subjects who depart in some ways `(C,)` from the population."""
        return self.knots + ways.to(self.knots) @ self.components

    def _matched(self, image: Tensor, mask: Tensor, anchor: Curve) -> Tensor:
        return torch.zeros_like(image).masked_scatter(mask, anchor(image[mask]))

    def _textures(self, image: Tensor, mask: Tensor, curve: Curve) -> Tensor:
        # Neighbouring slices tell much the same.
        step = slice_step(self.grid)
        image, mask = image[::step], mask[::step]
        at = torch.arange(1, self.config.textures) / self.config.textures
        return two_scales(self._matched(image, mask, curve), mask, self._population(at))

    def _population(self, at: Tensor) -> Tensor:
        """Return the population's quantiles at some levels."""
        given = levels(self.config.knots).to(self.knots)
        return Curve(given, ascending(self.knots))(at.to(self.knots))

    def _surroundings(
        self, part: Tensor, inside: Tensor, anchor: Curve, count: int
    ) -> Surroundings:
        """Look at every `slice_step`-th of `count` slices, given with their foreground."""
        h, edges = self._matched(part, inside, anchor), self._population(_PARTS)
        return Surroundings.of(h, inside, edges, self.grid, count)

    def _visible(self, part: Tensor, around: Surroundings, chosen: Tensor, count: int) -> Tensor:
        """Return what the cosines do to chosen voxels of the slices looked at: `(n, P)`.

        Where slices are scaled by their maxima, a field is seen relative to where those are;
        else relative to its mean.
        """
        terms = self.cosines.at(around.places[chosen])
        if not bool(self.slicewise):
            return terms - terms.mean(dim=0)
        step = slice_step(self.grid)
        _, H, W = part.shape
        top = part.flatten(1).argmax(dim=1)
        slices = step * torch.arange(len(top), device=top.device)
        place = torch.stack((slices, top // W, top % W), dim=1)
        sides = torch.tensor((count, H, W), device=top.device)
        return terms - self.cosines.at((place + 0.5) / sides)[around.slices[chosen] // step]

    def _field(self, image: Tensor, mask: Tensor, fold: int | None) -> tuple[Tensor, float]:
        """Estimate a scan's field.

        Returns
        -------
        tuple
            Coefficients `(P,)` of the field as it would be on a scan with the target's curve,
            and the exponent that makes the scan's own of it.
        """
        field = torch.zeros_like(self.field_mean)
        exponent = 1.0
        degrees = self.cosines.degrees.to(field)
        step, count = slice_step(self.grid), len(image)
        part, inside = image[::step], mask[::step]
        shape = (count, image.shape[1], image.shape[2])
        for _ in range(self.config.iterations):
            factor = (-self.cosines.field(field, shape, step)).exp()
            bare = in_range(part * factor, part, bool(self.slicewise))
            anchor = self._anchor(bare[inside])
            around = self._surroundings(bare, inside, anchor, count)
            chosen = torch.arange(0, len(around.features), _STRIDE, device=field.device)
            if not len(chosen):
                break
            guesses = self.networks(around.features[chosen])
            guess = guesses.mean(dim=0) if fold is None else guesses[fold]
            terms = self._visible(bare, around, chosen, count)
            precision = terms.T @ terms / len(chosen) + self.config.prior * degrees.square().diag()
            exponent = anchor.exponent
            change = torch.linalg.solve(precision, terms.T @ guess / len(chosen))
            field = field + exponent * change
            if float(change.norm()) < _STILL:
                break
        return field / exponent, exponent

    def _beyond_natural(self, field: Tensor) -> Tensor:
        """Return a field, or a part of it where target scans may have such a one by nature.

        A scan of the target may keep what it has by nature; from a scan of another scanner it
        is better taken off, too, since this subject's target scan has another one.
        """
        variation = NaturalVariation(self.field_mean.cpu(), self.field_covariance.cpu())
        excess = variation.excess(field.cpu(), self.cosines.degrees, self.config.evidence)
        # All of it: the posterior mean, which takes off less, is 1 to 2 dB short of that.
        return (1.0 if bool(excess.any()) else self.config.natural) * (field - self.field_mean)


def _share(at: Tensor) -> Tensor:
    """Return the share of voxels that each quantile stands for, by their levels `(K + 1,)`."""
    return torch.gradient(at)[0].clamp_min(0)


def _scan(scans: ScanSet, n: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Read image and mask of a scan, each `(S, H, W)`."""
    scan = scans.load([n]).to(device)
    return scan.images[0], scan.masks[0]
