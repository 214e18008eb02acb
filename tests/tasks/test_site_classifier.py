"""The classifier of the site probe: folds by subject, slices on disk, convergence."""

from __future__ import annotations

import torch

from harmbench_tasks.site_classifier import (
    SLICES,
    SOURCE,
    TARGET,
    ClassifierConfig,
    Example,
    Stacks,
    folds,
    has_converged,
    probe,
)


def examples(**subjects: str) -> list[Example]:
    sides = {"s": SOURCE, "t": TARGET}
    return [
        Example(subject, str(i), sides[letter], 0)
        for subject, letters in subjects.items()
        for i, letter in enumerate(letters)
    ]


def test_each_subject_is_in_one_fold_and_training_folds_have_both_sides() -> None:
    given = examples(a="st", b="sst", c="s", d="s", e="t", f="t", g="t")
    result = folds(given, 5)
    assert set(result) == set("abcdefg")
    assert len(set(result.values())) == 5
    for fold in set(result.values()):
        rest = {example.side for example in given if result[example.subject] != fold}
        assert rest == {SOURCE, TARGET}
    assert len(set(folds(examples(a="st", b="st", c="st"), 5).values())) == 3
    others = folds(given, 5, 1)
    assert others != result
    assert sorted(others.values()) == sorted(result.values())


def test_stacks_keep_slices_on_disk() -> None:
    stacks = Stacks(2, (50, 4, 6))
    images = torch.rand(2, 50, 4, 6)
    stacks.add(images[:1])
    stacks.add(images[1:])
    assert stacks.slices_per_scan == SLICES
    assert stacks.scan(1).shape == (SLICES, 4, 6)
    torch.testing.assert_close(stacks.read(1, 0), stacks.scan(1)[0])
    gaps = (stacks.scan(1)[:, None] - images[1][None]).abs().amax(dim=(2, 3)).amin(dim=1)
    assert float(gaps.max()) < 1e-3


def test_training_ends_when_it_has_converged() -> None:
    config = ClassifierConfig(window=2, small_loss=0.1, least_fall=0.1)
    falling = [0.9, 0.9, 0.7, 0.7, 0.5, 0.5]
    assert not has_converged(falling, config)
    assert not has_converged([*falling, 0.05], config)  # within a window
    assert has_converged([*falling, 0.05, 0.05], config)
    assert has_converged([*falling, 0.68, 0.68], config)


def test_training_that_does_not_converge_is_told_apart() -> None:
    stacks = {side: Stacks(3, (50, 16, 16)) for side in (SOURCE, TARGET)}
    given = []
    for side, stack in stacks.items():
        stack.add(side * 0.5 + 0.1 * torch.rand(3, 50, 16, 16))
        given += [Example(f"{side}{row}", "1", side, row) for row in range(3)]
    cpu = torch.device("cpu")
    short = ClassifierConfig(most_steps=2, window=1, small_loss=0.0, least_fall=-9)
    long = ClassifierConfig(most_steps=200, window=10, small_loss=0.1)
    first, second = (probe(given, stacks, seed=0, config=c, device=cpu) for c in (short, long))
    assert not any(first.converged)
    assert all(second.converged)
    assert set(second.shares) == {1.0}
