"""Gradients of batches; on a GPU, where a phase allows it, by replaying a CUDA graph.

A training step of a small network consists of thousands of short operations, and a GPU waits for
the host that launches them one by one. A CUDA graph launches all of them at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from harmbench.errors import one_line

# The graph is captured at this step: libraries choose algorithms and allocate at their first use.
STEPS_TO_GRAPH = 4
Batch = tuple[Tensor, ...]
Numbers = dict[str, Tensor]


class Gradients:
    """Computes the gradients of batches, one after another.

    Parameters
    ----------
    compute
        Computes a batch's gradients in `.grad`, and returns the batch's numbers.
    """

    def __init__(self, compute: Callable[[Batch], Numbers]) -> None:
        self._compute = compute

    def __call__(self, batch: Batch) -> Numbers:
        """Compute the gradients of a batch in `.grad`; return the batch's numbers."""
        return self._compute(batch)

    def reset(self) -> None:
        """Forget what was prepared for former batches, since `compute` has changed."""


class GraphedGradients(Gradients):
    """Captures the computation in a CUDA graph after some batches, and replays it from then on.

    The gradients are those of `compute`, to the order of atomic additions. The random numbers are
    the same as without a graph. If the computation cannot be captured, or the graph does not fit
    into the memory, every batch is computed without one.

    Parameters
    ----------
    compute
        As of `Gradients`; it must run the same operations for every batch of one shape.
    parameters
        Those whose gradients it computes.
    log
        Receives a message if the graph cannot be captured.
    generators
        Random generators that `compute` draws from, besides torch's own.
    device
        The GPU.
    """

    def __init__(
        self,
        compute: Callable[[Batch], Numbers],
        parameters: Sequence[Tensor],
        log: Callable[[str], None],
        *,
        generators: Sequence[torch.Generator],
        device: torch.device,
    ) -> None:
        super().__init__(compute)
        self._parameters = parameters
        self._log = log
        self._generators = generators
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._graph: _Graph | None = None
        self._steps = 0
        self._possible = True

    def __call__(self, batch: Batch) -> Numbers:
        """Compute the gradients of a batch in `.grad`; return the batch's numbers."""
        self._steps += 1
        if self._graph is None and self._possible and self._steps >= STEPS_TO_GRAPH:
            self._graph = self._captured(batch)
        if self._graph is not None and self._graph.fits(batch):
            return self._graph.replay(batch)
        # On the stream of the capture: autograd binds gradients to the stream of their first use.
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        with torch.cuda.stream(self._stream):
            numbers = self._compute(batch)
        torch.cuda.current_stream(self._stream.device).wait_stream(self._stream)
        return numbers

    def reset(self) -> None:
        """Forget the graph; the next batches prepare another one."""
        self._graph, self._steps = None, 0

    def _captured(self, batch: Batch) -> _Graph | None:
        for parameter in self._parameters:
            parameter.grad = None
        try:
            torch.cuda.empty_cache()  # the graph has memory of its own
            return _Graph(self._compute, batch, self._parameters, self._generators, self._stream)
        except Exception as error:  # drivers raise errors of many types
            self._possible = False
            self._leave_capture()
            self._log(f"no CUDA graph, so steps take longer: {one_line(error)}")
            return None

    def _leave_capture(self) -> None:
        """Give the generators a state that no failed capture owns: torch refuses to draw by it."""
        index = self._stream.device.index
        for generator in (torch.cuda.default_generators[index], *self._generators):
            generator.graphsafe_set_state(generator.clone_state())


class _Graph:
    """A captured computation, with the tensors that it reads and writes."""

    def __init__(
        self,
        compute: Callable[[Batch], Numbers],
        batch: Batch,
        parameters: Sequence[Tensor],
        generators: Sequence[torch.Generator],
        stream: torch.cuda.Stream,
    ) -> None:
        self._batch = tuple(tensor.clone() for tensor in batch)
        # torch < 2.13 allocates the generators' states for the graph on the current GPU.
        with torch.cuda.device(stream.device):
            self._graph = torch.cuda.CUDAGraph()
            for generator in generators:
                self._graph.register_generator_state(generator)
            with _capture(self._graph, stream):
                self._numbers = compute(self._batch)
        self._gradients = [(tensor, tensor.grad) for tensor in parameters]

    def fits(self, batch: Batch) -> bool:
        """Whether the tensors of a batch have the shapes of those that were captured."""
        return [own.shape for own in self._batch] == [given.shape for given in batch]

    def replay(self, batch: Batch) -> Numbers:
        """Compute the gradients of a batch of the same shapes."""
        for own, given in zip(self._batch, batch, strict=True):
            own.copy_(given)
        self._graph.replay()
        for parameter, gradient in self._gradients:
            parameter.grad = gradient
        # The next replay overwrites the graph's own tensors.
        return {key: value.clone() for key, value in self._numbers.items()}


@contextlib.contextmanager
def _capture(graph: torch.cuda.CUDAGraph, stream: torch.cuda.Stream) -> Iterator[None]:
    """Capture the operations of a block on a stream of the current GPU.

    If that fails, leave torch as it was before, for what this process computes next.
    """
    before, pool = torch.cuda.current_stream(), torch.cuda.graph_pool_handle()
    try:
        with torch.cuda.graph(graph, pool=pool, stream=stream):
            yield
    except BaseException:
        # torch leaves the stream of an invalid capture current.
        torch.cuda.set_stream(before)
        # Before torch 2.13 the allocator also stays in the capture: it would return no cached
        # memory any more. No public function ends that; 2.8 renamed the private one, and newer
        # versions, which have ended it, refuse.
        with contextlib.suppress(AttributeError, RuntimeError):
            torch._C._cuda_endAllocateToPool(stream.device.index, pool)
        raise
