"""Networks side by side, and their batches."""

from __future__ import annotations

import torch

from harmbench_methods.blindcurve.networks import Networks, Voxels


def test_networks_do_not_share_weights():
    networks = Networks(3, 5, 8)
    x = torch.randn(7, 5)
    before = networks(x)
    with torch.no_grad():
        networks.weights[0][1].zero_()
    after = networks(x)
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[2], after[2])
    assert not torch.equal(before[1], after[1])


def test_batches_resume_at_the_same_position():
    def supply():
        return Voxels(torch.arange(100.0), size=4, generator=torch.Generator().manual_seed(0))

    first = supply()
    first.draw()
    state = first.state_dict()
    wanted = first.draw()[0]
    second = supply()
    second.load_state_dict(state)
    assert torch.equal(second.draw()[0], wanted)
