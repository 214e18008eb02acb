"""Networks and functions that are there already, as methods."""

from __future__ import annotations

import copy
import inspect
import re
import sys
from collections.abc import Callable
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
    function: Callable[[Tensor], Tensor],
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
    """Make a method of a network or of a plain function.

    To be assigned at the top level of a module, and registered by that module's name and the
    variable's, or as it is where the variable is the name in capitals, as here::

        Squared = as_method(lambda x: x**2, "squared")

        @hookimpl
        def register_methods():
            return {"squared": Squared}  # or "my_module:Squared"

    What is not brain stays as it came: the function's answer is taken within the mask. Scans
    go through one by one and `slices_at_once` slices at a time, so that the answer does not
    depend on which scans come together. Results are kept under the hash of a network's weights
    and of the source text of the function or of the network's class, besides `version`.

    Parameters
    ----------
    function
        What harmonises; a network is copied for every method that is built, and is moved,
        stored and loaded with it.
    name
        As on the command line.
    of
        What the function takes and returns: `"slices"`, `(B, 1, H, W)`, or `"scans"`, one
        scan `(S, H, W)`; float32 in [0, 1].
    needs
        What `fit` is to be handed; `Needs.NOTHING` if there is none.
    fit
        Trains the network, in place: `fit(network, data, progress)`, as `Method.fit`. It starts
        from the weights that are given here.
    clamp
        Whether to cut off what leaves [0, 1], which is an error otherwise.
    slices_at_once
        The greatest B.
    summary, reference, version
        As of `Method`.

    Raises
    ------
    UserError
        If `fit` and `needs` do not go together, or `of` is neither of the two.
    """
    network = function if isinstance(function, nn.Module) else None
    if of not in ("slices", "scans"):
        raise UserError(f"as_method '{name}': of='{of}' is neither 'slices' nor 'scans'")
    if needs is Needs.TRUTH:
        raise UserError(f"as_method '{name}': Needs.TRUTH is for controls; write a class for one")
    if fit is not None and network is None:
        raise UserError(
            f"as_method '{name}': only a torch.nn.Module can be fitted, since what is learnt is "
            "stored as its parameters and buffers; write a class derived from Method"
        )
    if (fit is None) != (needs is Needs.NOTHING):
        raise UserError(
            f"as_method '{name}': "
            + (f"needs={needs} is for what fit= is handed" if fit is None else "fit= needs data")
            + "; give both or neither, such as needs=Needs.TARGET, fit=train_it"
        )
    kind = type(
        "".join(part.capitalize() for part in re.split(r"[^A-Za-z0-9]+", name)),
        (_Wrapped if fit is None else _Trained,),
        {
            "__doc__": summary or _said_of(function, of),
            "__module__": sys._getframe(1).f_globals.get("__name__", __name__),
            "name": name,
            "summary": summary or _said_of(function, of),
            "reference": reference,
            "needs": needs,
            "version": f"{version}+{_content(function, fit)}",
            "function": staticmethod(function),
            **({} if fit is None else {"trainer": staticmethod(fit)}),
            "of": of,
            "clamp": clamp,
            "slices_at_once": slices_at_once,
        },
    )
    assert issubclass(kind, Method)
    return kind


class _Wrapped(Method):
    """A method that leaves the work to a function or a network."""

    function: ClassVar[Any]  # (Tensor) -> Tensor; a plain function is static
    of: ClassVar[Of]
    clamp: ClassVar[bool]
    slices_at_once: ClassVar[int]

    def __init__(self, grid: Grid, config: Any = None) -> None:
        super().__init__(grid, config)
        if isinstance(self.function, nn.Module):
            self.network = copy.deepcopy(self.function)

    @torch.no_grad()
    def forward(self, scans: Scans) -> Scans:
        """Apply the function to N scans `(N, S, H, W)`, each by itself."""
        work = getattr(self, "network", self.function)
        images = scans.images.clone()
        for image, mask in zip(images, scans.masks, strict=True):
            made = work(image.clone()) if self.of == "scans" else self._sliced(work, image)
            if made.shape != image.shape:
                raise ValueError(
                    f"the function of '{self.name}' made {tuple(made.shape)} of "
                    f"{tuple(image.shape)}; the shape must stay"
                )
            image.copy_(torch.where(mask, made.clamp(0, 1) if self.clamp else made, image))
        return scans.with_images(images)

    def _sliced(self, work: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
        parts = torch.split(image.clone()[:, None], self.slices_at_once)
        return torch.cat([work(part) for part in parts])[:, 0]


class _Trained(_Wrapped):
    """One whose network is trained first."""

    trainer: ClassVar[Any]  # as `Fit`, static

    def fit(self, data: FitData, progress: FitProgress) -> None:
        """Train the network, from the weights that it came with."""
        self.trainer(self.network, data, progress)


def _said_of(function: Callable[..., Any], of: str) -> str:
    """Summarise: a network by its class, and a function by the first line of its docstring."""
    if isinstance(function, nn.Module):
        return f"a network of the class {type(function).__name__}, applied to {of}"
    lines = (inspect.getdoc(function) or "").splitlines()
    return lines[0] if lines else f"a function, applied to {of}"


def _content(function: Callable[..., Any], fit: Callable[..., Any] | None) -> str:
    """Hash what the result depends on, as far as it can be read: source text and weights."""
    weights: list[Any] = []
    if isinstance(function, nn.Module):
        for name, value in function.state_dict().items():
            flat = value.detach().cpu().contiguous().flatten().view(torch.uint8)
            weights.append([name, list(value.shape), bytes_digest(flat.numpy().tobytes())])
        # The settings of layers, such as a stride, are part of their printed form.
        weights.append(repr(function))
    return digest(_source(function), None if fit is None else _source(fit), weights)[:8]


def _source(function: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(type(function) if isinstance(function, nn.Module) else function)
    except (OSError, TypeError):  # of a builtin, or typed at a prompt
        return ""
