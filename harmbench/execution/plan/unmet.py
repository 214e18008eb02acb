"""Why a method cannot answer a question: the data that it needs and that are missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from harmbench.contracts.method import Method
from harmbench.contracts.needs import Needs
from harmbench.contracts.task_data import TaskData
from harmbench.contracts.volume_method import VolumeMethod
from harmbench.data.scan_set import ScanSet
from harmbench.util.name_list import first_names

if TYPE_CHECKING:
    from harmbench.execution.plan.plan import PlannedCell

_SHOWN = 3  # scans that a message names


def unmet(method: type[Method], data: TaskData) -> str | None:
    """Say why data cannot meet what a method declares; None if it can."""
    return (
        _unmet_needs(method, data) or _unmet_covariates(method, data) or _unmet_space(method, data)
    )


def _unmet_needs(method: type[Method], data: TaskData) -> str | None:
    needs = method.needs
    if data.unseen and needs is not Needs.SITES and not method.control:
        return (
            f"the task leaves '{data.domain}' out of fits on all sites, and only methods with "
            "needs = Needs.SITES have such a fit"
        )
    if needs is Needs.SITES:
        return _unmet_sites(data)
    if needs is Needs.PAIRED and data.pairs is None:
        return f"needs pairs, and {data.no_pairs}"
    if needs is Needs.UNPAIRED and (data.source is None or not len(data.source)):
        return "needs training scans of the source domain, and there are none"
    if needs is Needs.REPEAT and data.repeats is None:
        return f"needs repeat scans, and {data.no_repeats}"
    if needs is Needs.TRUTH and data.repeats is not None:
        return "the task has repeat scans, so that the reference line is a rescan"
    if needs is Needs.TRUTH and data.references is None:
        return f"needs the paired truth, and {data.no_references or data.no_pairs}"
    return None


def _unmet_sites(data: TaskData) -> str | None:
    sites = data.sites or {}
    if len(sites) < 2:
        names = " and ".join(f"'{name}'" for name in sites) or "none"
        return f"needs training scans of several sites, and there are those of {names} only"
    elsewhere = data.unseen or data.unknown_site
    wanted = [data.target.domain, *(() if elsewhere else (data.domain,))]
    for name in wanted:
        if name not in sites:
            return (
                f"needs training scans of '{name}', and all its training subjects are assigned to "
                "other sites: give more subjects"
            )
    return None


def fitted_scans(method: type[Method], data: TaskData) -> list[ScanSet]:
    """Return the scan sets that a method is fitted on, without those for validation."""
    if not method.learns():
        return []
    if method.needs is Needs.SITES:
        return list((data.sites or {}).values())
    used: list[ScanSet | None] = [data.target]
    if method.needs is Needs.UNPAIRED:
        used.append(data.source)
    if method.needs is Needs.PAIRED:
        used += data.pairs or ()
    return [scans for scans in used if scans is not None]


def _unmet_covariates(method: type[Method], data: TaskData) -> str | None:
    names = method.covariates
    for name, places in data.test.lacking(names).items():
        return (
            f"needs the covariate '{name}', and {len(places)} of {len(data.test)} test scans have "
            f"no value: {_scans(data.test, places)}"
        )
    for scans in fitted_scans(method, data):
        if len(scans) and not len(scans.complete(names)):
            return (
                f"needs {_covariates(names)}, and no training scan of '{scans.domain}' has a value"
            )
    return None


def left_out_of_fits(cells: Iterable[PlannedCell]) -> list[str]:
    """Return a line for each method and scan set that lacks values of a declared covariate."""
    lines: dict[str, None] = {}
    for planned in cells:
        method, data, fit = planned.method, planned.data, planned.fit
        if fit is None or data is None or not method.covariates:
            continue
        for scans in (*fitted_scans(method, data), data.validation):
            missing = scans.lacking(method.covariates)
            places = sorted({place for each in missing.values() for place in each})
            if places:
                line = (
                    f"{planned.variant.name}: {len(places)} of {len(scans)} scans of "
                    f"'{scans.domain}' are left out of its fit, since they have no value of "
                    f"{' or '.join(missing)}: {_scans(scans, places)}"
                )
                lines[line] = None
    return list(lines)


def _covariates(names: Sequence[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return f"the covariate{'s' if len(quoted) > 1 else ''} {' and '.join(quoted)}"


def _scans(scans: ScanSet, places: Sequence[int]) -> str:
    keys = (scans.scans[place] for place in places)
    return first_names((f"{key.subject}/{key.session}" for key in keys), _SHOWN)


def _unmet_space(method: type[Method], data: TaskData) -> str | None:
    """Say why scans cannot be read in the space of a volume method; None if they can."""
    if not issubclass(method, VolumeMethod):
        return None
    for scans in (data.test, *fitted_scans(method, data)):
        reason = scans.no_volumes(method.space)
        if reason is not None:
            return f"needs {method.space}, and the scans of '{scans.domain}' {reason}"
    return None
