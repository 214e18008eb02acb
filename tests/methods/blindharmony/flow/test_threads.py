"""Independent work on several cores."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from harmbench_methods.blindharmony.flow.threads import beside, shares, side_by_side

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2, 3, 49, 50])
@pytest.mark.parametrize("most", [None, 1, 2, 26, 100])
def test_shares_cover_all_items_once(count: int, most: int | None) -> None:
    items = list(range(count))
    parts = [items[part] for part in shares(count, CPU, most)]
    assert [item for part in parts for item in part] == items
    assert all(parts)
    if most:
        # Two are at work at once, each with at least one item.
        assert all(len(part) <= max(1, -(-most // 2)) for part in parts)


def test_there_is_one_share_without_several_threads() -> None:
    assert shares(50, torch.device("meta")) == [slice(0, 50)]
    torch.set_num_threads(1)
    assert shares(50, CPU) == [slice(0, 50)]


def test_results_have_the_order_of_the_items() -> None:
    x = torch.arange(12.0).view(6, 2)
    sums = side_by_side(lambda part: float(x[part].sum()), range(6), CPU)
    assert sums == x.sum(1).tolist()


def test_a_worker_uses_one_thread_and_the_caller_keeps_its_setting() -> None:
    def threads(_: int) -> int:
        torch.ones(100_000).exp()
        return torch.get_num_threads()

    assert side_by_side(threads, range(6), CPU) == [1] * 6
    assert torch.get_num_threads() == 2


def test_on_another_device_there_is_one_item_at_a_time() -> None:
    torch.set_num_threads(4)
    used = side_by_side(lambda _: threading.get_ident(), range(6), torch.device("meta"))
    assert used == [threading.get_ident()] * 6


@pytest.mark.parametrize("count", [1, 4])
def test_no_gradient_is_recorded(count: int) -> None:
    weight = torch.ones(3, requires_grad=True)
    results = side_by_side(lambda item: item * weight, range(count), CPU)
    assert not any(result.requires_grad for result in results)


def test_an_error_reaches_the_caller() -> None:
    def fails(item: int) -> None:
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 0"):
        side_by_side(fails, range(4), CPU)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_function_is_computed_beside_a_block(threads: int) -> None:
    torch.set_num_threads(threads)
    block_runs = threading.Event()

    def function() -> tuple[int, bool]:
        if threads > 1:
            assert block_runs.wait(20)
        return torch.get_num_threads(), torch.is_grad_enabled()

    with beside(function) as future:
        assert future.done() == (threads == 1)
        block_runs.set()
        assert torch.get_num_threads() == max(1, threads - 1)
        assert torch.is_grad_enabled()
    assert future.result(timeout=0) == (1, False)
    assert torch.get_num_threads() == threads


def test_an_error_beside_a_block_comes_with_the_result() -> None:
    def fails() -> None:
        raise ValueError("beside")

    with beside(fails) as future:
        pass
    with pytest.raises(ValueError, match="beside"):
        future.result()


def test_an_error_of_the_block_ends_the_function_first() -> None:
    ended = []
    with pytest.raises(KeyError), beside(lambda: ended.append(True)):
        raise KeyError
    assert ended == [True]
    assert torch.get_num_threads() == 2
