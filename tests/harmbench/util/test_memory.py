"""Memory that runs out, in processes of their own: a limit holds until a process ends."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import platform
import subprocess
import sys
import textwrap

import pytest
import torch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA is Linux's")

# Runs each script that it reads in a fork of its own, and then prints "end".
FORKS = """
import json, os, sys, traceback
import torch
from harmbench import train

for line in sys.stdin:
    if os.fork() == 0:
        try:
            exec(json.loads(line), {})
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(0)
    os.wait()
    print("end", flush=True)
"""


@pytest.fixture(scope="module")
def printed_by():
    """Run a script in a new process, and return what it prints as JSON.

    The processes are forks of one that has imported torch, which takes seconds.
    """
    with subprocess.Popen(
        [sys.executable, "-c", FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as forks:

        def run(script):
            forks.stdin.write(json.dumps(textwrap.dedent(script)) + "\n")
            forks.stdin.flush()
            printed = [*itertools.takewhile(lambda line: line != "end\n", forks.stdout)]
            assert printed, "the script failed: see its error output"
            return json.loads(printed[-1])

        yield run
        forks.stdin.close()


TRAINING = """
    import json, sys, torch
    from harmbench import FitProgress, Phase, train
    from harmbench.util import memory

    class Batches:
        def draw(self):
            return (torch.ones({slices}, 2**12),)
        def state_dict(self):
            return {{}}

    torch.manual_seed(0)
    network = torch.nn.Linear(2**12, 1)
    def loss(x):
        wide = network(x) * torch.linspace(0, 1, 2**18)  # 1 MiB a slice, and kept
        return wide.square().mean()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    if {limit}:
        held = int(open("/proc/self/status").read().split("VmData:")[1].split()[0]) // 1024
        memory.limit(torch.device("cpu"), held + {limit})
    progress = FitProgress()
    train(network, Batches(), Phase(loss=loss, optimizer=optimizer), progress, name="wide", steps=3)
    state = float(network.weight.detach().double().sum())
    print(json.dumps({{"facts": progress.facts, "state": state}}))
"""


def test_training_continues_with_smaller_parts_when_memory_runs_out(printed_by):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(textwrap.dedent(TRAINING.format(slices=32, limit=0)), {})
    free = json.loads(printed.getvalue())
    tight = printed_by(TRAINING.format(slices=32, limit=70))
    assert "micro_batches" not in free["facts"]
    assert tight["facts"]["micro_batches"] in (2, 4, 8, 16)
    assert tight["facts"]["steps_done"] == 3
    assert tight["state"] == pytest.approx(free["state"], rel=1e-4)


def test_other_errors_do_not_count_as_out_of_memory():
    from harmbench.util import memory

    assert memory.ran_out(MemoryError())
    assert not memory.ran_out(RuntimeError("shapes do not match"))
    assert not memory.ran_out(ValueError("can't allocate memory"))
    assert not memory.ran_out(RuntimeError("CUDA error: an illegal memory access was encountered"))


@pytest.mark.parametrize(
    "message",
    [
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    ],
)
def test_memory_of_a_gpu_also_runs_out_beside_the_allocator_of_torch(message):
    from harmbench.util import memory

    assert memory.ran_out(RuntimeError(message))


@pytest.mark.parametrize(("reserved", "limit", "expected"), [(1, 0, 9), (4, 0, 12), (4, 6, 5)])
def test_free_memory_of_a_gpu_includes_the_cache_and_ends_at_the_limit(
    printed_by, reserved, limit, expected
):
    # GiB, of a GPU of 80 GiB of which 9 are free; 1 is in use.
    free = printed_by(
        f"""
        import json, torch
        from types import SimpleNamespace
        from harmbench.util import memory

        torch.cuda.current_device = lambda: 0
        torch.cuda.get_device_properties = lambda device: SimpleNamespace(total_memory=80 * 2**30)
        torch.cuda.mem_get_info = lambda device: (9 * 2**30, 80 * 2**30)
        torch.cuda.memory_allocated = lambda device: 2**30
        torch.cuda.memory_reserved = lambda device: {reserved} * 2**30
        torch.cuda.set_per_process_memory_fraction = lambda fraction, index: None
        if {limit}:
            memory.limit(torch.device("cuda"), {limit} * 2**10)
        print(json.dumps(memory.free_bytes(torch.device("cuda:0")) / 2**30))
        """
    )
    assert free == expected


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_memory_of_a_gpu_is_limited_and_returned(printed_by):
    failed, left, cached, after = printed_by(
        """
        import json, torch
        from harmbench.util import device, memory

        gpu = device.resolve("auto")
        memory.limit(gpu, 512)
        try:
            torch.empty(2**30, dtype=torch.uint8, device=gpu)
            failed = False
        except RuntimeError as error:
            failed = memory.ran_out(error)
        torch.empty(2**28, dtype=torch.uint8, device=gpu)
        left, cached = memory.free_bytes(gpu), torch.cuda.memory_reserved(gpu)
        memory.give_back(gpu)
        print(json.dumps([failed, left, cached, torch.cuda.memory_reserved(gpu)]))
        """
    )
    assert failed
    assert left == 2**29
    assert cached >= 2**28 > after


CHURNING = """
    import json, torch
    from harmbench.util import memory

    def held():
        text = open("/proc/self/status").read()
        return int(text.split("RssAnon:")[1].split()[0]) // 1024

    # From now on glibc takes arrays of less than this from its heap.
    large = torch.ones(2**22)
    del large
    pairs = [(torch.ones(2**20), torch.ones(2**16)) for _ in range(50)]
    # Small ones stay between the large ones that go, and fit in no gap that imports left.
    kept = [small for _, small in pairs]
    del pairs
    before = held()
    memory.give_back(torch.device("cpu"))
    print(json.dumps([before, held()]))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc_trim is glibc's")
def test_unused_memory_is_returned_to_the_system(printed_by):
    before, after = printed_by(CHURNING)
    assert before - after > 100


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about the memory of glibc")
def test_freed_blocks_do_not_count_against_a_limit(printed_by):
    left = printed_by(
        """
        import json, torch
        from harmbench.util import memory

        def data():
            status = open("/proc/self/status").read()
            return int(status.split("VmData:")[1].split()[0]) // 1024

        memory.limit(torch.device("cpu"), 20_000)
        before = data()
        torch.ones(24 * 2**18)  # MiB: after it was freed, glibc keeps smaller blocks in its heap
        blocks, kept = [], []
        for _ in range(20):
            blocks.append(torch.ones(4 * 2**18))
            kept.append(torch.ones(2**14))  # between the blocks in the heap
        del blocks
        memory.give_back(torch.device("cpu"))
        print(json.dumps(data() - before))
        """
    )
    assert left < 40
