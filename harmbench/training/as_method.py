"""Method classes from existing networks and functions."""

from __future__ import annotations

import copy
import inspect
import re
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from harmbench.contracts.fit_data import FitData
from harmbench.contracts.fit_progress import FitProgress
from harmbench.contracts.method import Method
from harmbench.contracts.needs import Needs
from harmbench.data.scans import Grid, Scans
from harmbench.errors import UserError
from harmbench.util.hashing import bytes_digest, digest

Of = Literal["slices", "scans"]
Fit = Callable[[nn.Module, FitData, FitProgress], None]


def as_method(
    function: Callable[[Tensor], Tensor] | type[nn.Module] | partial[nn.Module],
    name: str,
    *,
    of: Of = "slices",
    needs: Needs = Needs.NOTHING,
    fit: Fit | None = None,
    clamp: bool = False,
    slices_at_once: int = 50,
    summary: str = "",
    reference: str | None = None,
    version: str = "1",
) -> type[Method]:
    """Make a method class from a network or a plain function.

    Assign the result at the top level of a module, such as `Squared = as_method(square,
    "squared")`, and register it as `Squared` or `"my_module:Squared"`.

    Voxels outside the mask keep their values. Scans are harmonised one by one, so that the
    output does not depend on the batch. Results are stored under a hash of the weights, the
    source text of the function or of the network's class, and `version`.

    Parameters
    ----------
    function
        The function or network that harmonises; every instance has its own copy of a network.
        Of the class of a network, or `functools.partial(Class, ...)`, every instance makes its
        own network, whose first weights depend on the seed of the cell. A network that is made
        at the top level of a plugin has the same first weights for all seeds.
    name
        The method's name on the command line.
    of
        Input and output of the function, float32 in [0, 1]: `"slices"`, `(B, 1, H, W)`, or
        `"scans"`, one scan `(S, H, W)`.
    needs
        The data that `fit` receives; `Needs.NOTHING` without `fit`.
    fit
        Trains the network in place from its present weights: `fit(network, data, progress)`.
    clamp
        Whether to clamp the output to [0, 1]; values outside are an error otherwise.
    slices_at_once
        Maximum B.
    summary, reference, version
        Attributes of `Method`.

    Raises
    ------
    UserError
        If `fit` and `needs` do not match, or `of` is neither `"slices"` nor `"scans"`.
    """
    _check_arguments(function, name, of, needs, fit)
    attributes = {
        "__module__": sys._getframe(1).f_globals.get("__name__", __name__),
        "name": name,
        "summary": summary or _summary(function, of),
        "reference": reference,
        "needs": needs,
        "version": f"{version}+{_digest(function, fit)}",
        "of": of,
        "clamp": clamp,
        "slices_at_once": slices_at_once,
    }
    return _method_class(function, fit, attributes)


def _method_class(
    function: Callable[..., Any], fit: Fit | None, attributes: dict[str, Any]
) -> type[Method]:
    """Make the class, named after the method in capitals."""
    words = re.split(r"[^A-Za-z0-9]+", attributes["name"])
    functions: dict[str, Any] = {"function": staticmethod(function)}
    if fit is not None:
        functions["trainer"] = staticmethod(fit)
    method = type(
        "".join(word.capitalize() for word in words),
        (_Wrapped if fit is None else _Trained,),
        {"__doc__": attributes["summary"], **attributes, **functions},
    )
    assert issubclass(method, Method)
    return method


def _check_arguments(
    function: Callable[..., Any], name: str, of: Of, needs: Needs, fit: Fit | None
) -> None:
    """Raise a `UserError` if arguments of `as_method` do not match."""
    if of not in ("slices", "scans"):
        raise UserError(f"as_method '{name}': of='{of}' is neither 'slices' nor 'scans'")
    if needs.control_only:
        raise UserError(f"as_method '{name}': {needs} is for controls; write a class for one")
    if fit is not None and not isinstance(function, nn.Module) and _network_class(function) is None:
        raise UserError(
            f"as_method '{name}': only a torch.nn.Module can be fitted, since a fit is stored as "
            "parameters and buffers; write a class derived from Method"
        )
    if fit is None and needs is not Needs.NOTHING:
        raise UserError(
            f"as_method '{name}': needs={needs} without fit=; give both, such as "
            "needs=Needs.TARGET, fit=train, or neither"
        )
    if fit is not None and needs is Needs.NOTHING:
        raise UserError(
            f"as_method '{name}': fit= without needs=; give both, such as needs=Needs.TARGET, "
            "fit=train, or neither"
        )


class _Wrapped(Method):
    """A method that applies a function or a network."""

    function: ClassVar[Any]  # (Tensor) -> Tensor; a plain function is static
    of: ClassVar[Of]
    clamp: ClassVar[bool]
    slices_at_once: ClassVar[int]

    def __init__(self, grid: Grid, config: Any = None) -> None:
        super().__init__(grid, config)
        if isinstance(self.function, nn.Module):
            self.network = copy.deepcopy(self.function)
        elif _network_class(self.function) is not None:
            self.network = self.function()

    @torch.no_grad()
    def forward(self, scans: Scans) -> Scans:
        """Apply the function to each of N scans `(N, S, H, W)`."""
        function = getattr(self, "network", self.function)
        apply = function if self.of == "scans" else partial(self._apply_to_slices, function)
        images = scans.images.clone()
        for image, mask in zip(images, scans.masks, strict=True):
            output = apply(image.clone())
            if output.shape != image.shape:
                raise ValueError(
                    f"the function of '{self.name}' returned shape {tuple(output.shape)}; it must "
                    f"return the input's shape {tuple(image.shape)}"
                )
            image.copy_(torch.where(mask, output.clamp(0, 1) if self.clamp else output, image))
        return scans.with_images(images)

    def _apply_to_slices(self, function: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
        parts = torch.split(image[:, None], self.slices_at_once)
        return torch.cat([function(part) for part in parts])[:, 0]


class _Trained(_Wrapped):
    """A method whose network is trained first."""

    trainer: ClassVar[Any]  # a `Fit`, static

    def fit(self, data: FitData, progress: FitProgress) -> None:
        """Train the network, starting from the weights that it had when it was passed in."""
        self.trainer(self.network, data, progress)


def _network_class(function: Callable[..., Any]) -> type[nn.Module] | None:
    """Return the class of network that is made by a call without arguments, or None."""
    made = function.func if isinstance(function, partial) else function
    return made if isinstance(made, type) and issubclass(made, nn.Module) else None


def _summary(function: Callable[..., Any], of: str) -> str:
    """Describe a network by its class, and a function by the first line of its docstring."""
    network = type(function) if isinstance(function, nn.Module) else _network_class(function)
    if network is not None:
        return f"a network of the class {network.__name__}, applied to {of}"
    lines = (inspect.getdoc(function) or "").splitlines()
    return lines[0] if lines else f"a function, applied to {of}"


def _digest(function: Callable[..., Any], fit: Callable[..., Any] | None) -> str:
    """Hash the source text, if it is available, and the weights."""
    weights: list[Any] = []
    if isinstance(function, nn.Module):
        for name, value in function.state_dict().items():
            flat = value.detach().cpu().contiguous().flatten().view(torch.uint8)
            weights.append([name, list(value.shape), bytes_digest(flat.numpy().tobytes())])
        # The settings of layers, such as a stride, are part of their printed form.
        weights.append(repr(function))
    if isinstance(function, partial):
        weights.append(repr((function.args, sorted(function.keywords.items()))))
    return digest(_source(function), None if fit is None else _source(fit), weights)[:8]


def _source(function: Callable[..., Any]) -> str:
    defined = type(function) if isinstance(function, nn.Module) else function
    if isinstance(defined, partial):
        defined = defined.func
    try:
        return inspect.getsource(defined)
    except (OSError, TypeError):  # a builtin, or defined at a prompt
        return ""
