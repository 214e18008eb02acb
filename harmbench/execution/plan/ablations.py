"""The request for a method with its ablations and the floors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harmbench.contracts.published import Published
from harmbench.errors import UserError
from harmbench.execution.plan.request import Request
from harmbench.plugins import Registry

_DEFAULT_METRICS = ("psnr", "ssim")


@dataclass(frozen=True)
class AblationRequest:
    """A request, and what its table shows.

    Attributes
    ----------
    request
        The method, its ablations and the floors.
    metrics
        Names of the metrics to show.
    published
        The table that the method's paper printed, or None.
    """

    request: Request
    metrics: tuple[str, ...]
    published: Published | None


def ablation_request(
    registry: Registry, request: Request, metrics: Sequence[str] = ()
) -> AblationRequest:
    """Complete a request for one method to one for its ablations.

    Parameters
    ----------
    registry
        Where methods and metrics are looked up.
    request
        With the one method; without tasks, those of the paper's table are requested.
    metrics
        Names of metrics; empty for those of the paper's table.

    Raises
    ------
    UserError
        If the method has no ablations, no task is named or a metric does not exist.
    """
    (method,) = request.methods
    cls = registry.entry("methods", method).load()
    if not cls.ablations:
        raise UserError(f"method '{method}' names no ablations; {_ablated_methods(registry)}")
    published: Published | None = cls.published
    tasks = request.tasks or (() if published is None else published.tasks)
    if not tasks:
        raise UserError(f"missing --task: '{method}' has no published table to take tasks from")
    names = metrics or (_DEFAULT_METRICS if published is None else tuple(published.values))
    registered = registry.entries("metrics")
    for name in names:
        if name not in registered:
            raise UserError.unknown("metric", name, registered)
    floors = [
        name
        for name, entry in registry.entries("methods").items()
        if entry.attributes()["control"] == "floor" and name != method
    ]
    request = replace(request, methods=(method, *floors), tasks=tasks, ablations=True)
    return AblationRequest(request, tuple(names), published)


def _ablated_methods(registry: Registry) -> str:
    """Return the names of the methods with ablations, in words."""
    names = []
    for name, entry in registry.entries("methods").items():
        try:
            if entry.load().ablations:
                names.append(name)
        except UserError:
            continue
    return f"methods that do: {', '.join(names)}" if names else "no method does"
