"""Checks of what a method declares: registration, presets, settings, fit and needs."""

from __future__ import annotations

import dataclasses
import json

from harmbench.contracts.model import Model
from harmbench.contracts.needs import Needs
from harmbench.errors import HarmbenchError, one_line
from harmbench.execution.plan import settings
from harmbench.testing.checks import CheckFailure, CheckList, NotApplicable
from harmbench.testing.method_candidate import MethodCandidate
from harmbench.testing.registration import check_registration
from harmbench.util.hashing import canonical

DECLARATION_CHECKS: CheckList[MethodCandidate] = CheckList()


@DECLARATION_CHECKS.add("registration")
def registration(candidate: MethodCandidate) -> None:
    """It is registered by its name, with a summary, without loading torch."""
    method = candidate.method
    if not isinstance(getattr(method, "needs", None), Needs):
        raise CheckFailure(
            "needs is one of Needs.NOTHING, TARGET, UNPAIRED, PAIRED, SITES",
            f"needs = {getattr(method, 'needs', None)!r}",
            "set needs = Needs.TARGET if it learns only from the target's scans",
        )
    check_registration("method", candidate.entry, method.name, getattr(method, "summary", ""))


@DECLARATION_CHECKS.add("presets")
def presets(candidate: MethodCandidate) -> None:
    """Every preset is an instance of its Config."""
    method = candidate.method
    if not dataclasses.is_dataclass(method.Config):
        raise CheckFailure(
            "Config is a frozen dataclass",
            f"{method.Config!r}",
            "decorate it with @dataclass(frozen=True)",
        )
    for name, preset in method.presets.items():
        if not isinstance(preset, method.Config):
            raise CheckFailure(
                f"the preset '{name}' is a {method.Config.__name__}",
                f"it is a {type(preset).__name__}",
                f"set Config = {type(preset).__name__}, or make the preset a "
                f"{method.Config.__name__}",
            )


@DECLARATION_CHECKS.add("config")
def config(candidate: MethodCandidate) -> None:
    """Its settings survive JSON, and its ablations change existing settings."""
    config = candidate.config
    fix = "use fields of str, bool, int, float, Literal, and tuples of them, with type hints"
    try:
        written = json.loads(json.dumps(canonical(config)))
        read = settings.change(candidate.name, config, written, "read")
    except (TypeError, ValueError, HarmbenchError) as error:
        raise CheckFailure("settings of JSON types", one_line(error), fix) from error
    if read != config:
        raise CheckFailure(f"{config} after writing and reading it", f"{read}", fix)
    for title, changed in candidate.method.ablations.items():
        try:
            settings.change(candidate.name, config, changed, f"ablation '{title}':")
        except HarmbenchError as error:
            raise CheckFailure(
                f"the ablation '{title}' changes existing settings",
                str(error),
                "name fields of Config, with values of their types",
            ) from error


@DECLARATION_CHECKS.add("fit")
def fit(candidate: MethodCandidate) -> None:
    """It can be fitted on a few small scans, or has no fit."""
    if not candidate.method.learns():
        candidate.built()
        raise NotApplicable("it learns nothing")
    candidate.built()
    if candidate.withheld_data_error:
        raise NotApplicable("it uses more data than it declares; see the check 'needs'")
    if candidate.fault is not None:
        raise CheckFailure(
            "a fit without an error, with finite numbers",
            one_line(candidate.fault),
            "debug Method.fit on the scans of harmbench.testing.tiny_cohort(); if the grid is too "
            "small for your settings, add a preset 'tiny'",
        ) from candidate.fault


@DECLARATION_CHECKS.add("needs")
def needs(candidate: MethodCandidate) -> None:
    """It needs no data that it does not declare; all other data is withheld."""
    method = candidate.method
    if method.needs is Needs.NOTHING and method.fit is not Model.fit:
        raise CheckFailure(
            "no `fit`, since needs = Needs.NOTHING",
            "a `fit` that is never called",
            "declare the data it learns from, such as needs = Needs.TARGET",
        )
    error = candidate.withheld_data_error
    if error:
        raise CheckFailure(
            f"a fit on the data of needs = {method.needs}",
            f"it uses more: {error}",
            "declare Needs.UNPAIRED if it learns from the source's scans, Needs.PAIRED if it "
            "learns from pairs, Needs.SITES for all sites, and `covariates` by name; methods never "
            "receive labels",
        )
