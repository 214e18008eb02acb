import numpy as np
import torch

from harmbench.cohorts.phantom.pose import CENTRE, Pose, draw_pose


def test_a_pose_is_rigid_up_to_the_size_of_the_head():
    pose = Pose((10.0, -20.0, 5.0), (3.0, 0.0, -7.0))
    points = 40 * torch.randn(3, 5, 4, 3, generator=torch.Generator().manual_seed(0))
    moved = pose.to_scanner(points, 0.9)
    before, after = (torch.pdist(each.flatten(1).T) for each in (points, moved))
    torch.testing.assert_close(after, 0.9 * before)


def test_the_centre_goes_where_the_shift_says():
    pose = Pose((10.0, -20.0, 5.0), (3.0, 0.0, -7.0))
    centre = torch.tensor(CENTRE)[:, None, None, None]
    moved = pose.to_scanner(centre, 0.9).flatten()
    torch.testing.assert_close(moved, torch.tensor([11.0, 0.0, -24.0]))


def test_nodding_moves_front_and_back_not_the_sides():
    pose = Pose((0.0, 10.0, 0.0), (0.0, 0.0, 0.0))
    z, x, y = torch.tensor(CENTRE)
    front = torch.stack([z, x, y + 60])[:, None, None, None]
    side = torch.stack([z, x + 60, y])[:, None, None, None]
    assert (pose.to_scanner(front, 1.0) - front).norm() > 8
    assert (pose.to_scanner(side, 1.0) - side).norm() < 1e-4


def test_heads_nod_more_than_they_tilt():
    poses = [draw_pose(np.random.default_rng(seed)) for seed in range(200)]
    turn, nod, tilt = np.std([pose.turn for pose in poses], axis=0)
    assert nod > turn > tilt > 1
