from __future__ import annotations

import numpy as np
import pytest
import torch

from harmbench import (
    DivergedError,
    Frame,
    HarmonizedVolume,
    Needs,
    VolumeMethod,
    VolumeScan,
    VolumeSpace,
)
from harmbench.errors import ContractError
from harmbench.execution.compute.apply import beside_slices, harmonized_by
from harmbench.testing.tiny import TINY, tiny_cohort

CPU = torch.device("cpu")


class Same(VolumeMethod):
    name = "same"
    summary = "return the volume"
    needs = Needs.NOTHING

    def harmonize(self, scan: VolumeScan):
        return scan.image


class Darker(Same):
    def harmonize(self, scan: VolumeScan):
        return HarmonizedVolume(scan.image / 2, flag="too bright" if scan.image.max() > 0 else "")


def applied(method):
    scans = tiny_cohort().scans("domain1", "test")
    beside = beside_slices(method, scans, scans.domain)
    source = scans.load(range(len(scans)))
    return source, harmonized_by(method, source, None, 0, CPU, beside)


def test_a_method_that_returns_its_input_changes_nothing() -> None:
    source, output = applied(Same(TINY))
    assert torch.equal(output.images, source.images)


def test_a_result_is_mapped_to_the_grid_with_its_warning() -> None:
    source, output = applied(Darker(TINY))
    torch.testing.assert_close(output.images, source.images / 2)
    assert output.flags == ("too bright",) * len(source)


def test_test_scans_have_pseudonyms_and_no_domain() -> None:
    seen = []

    class Nosy(Same):
        def harmonize(self, scan):
            seen.append((scan.subject, scan.session, scan.domain))
            return scan.image

    source, _ = applied(Nosy(TINY))
    assert len(seen) == len(source)
    assert not {name for names in seen for name in names} & {*source.subjects, *source.sessions}
    assert all(domain is None for _, _, domain in seen)


def test_training_scans_have_their_names_and_domain() -> None:
    scans = tiny_cohort().scans("target", "train")
    volumes = scans.volumes(VolumeSpace())
    assert [scan.subject for scan in volumes] == list(scans.subjects)
    assert {scan.domain for scan in volumes} == {"target"}


@pytest.mark.parametrize(
    ("result", "error", "reason"),
    [
        (lambda image: image[:-1], ContractError, "expected a volume of shape"),
        (lambda image: np.full_like(image, np.nan), DivergedError, "not finite"),
    ],
)
def test_a_bad_result_is_refused(result, error, reason) -> None:
    class Bad(Same):
        def harmonize(self, scan):
            return result(scan.image)

    with pytest.raises(error, match=reason):
        applied(Bad(TINY))


def test_a_method_may_change_its_copy() -> None:
    class InPlace(Same):
        def harmonize(self, scan):
            scan.image[...] = 0
            return scan.image

    source, output = applied(InPlace(TINY))
    assert not output.images.any()
    again = tiny_cohort().scans("domain1", "test").load(range(len(source)))
    assert torch.equal(again.images, source.images)


def test_a_space_says_what_it_is() -> None:
    assert str(VolumeSpace()) == "brains in the acquired space"
    space = VolumeSpace(frame=Frame.TEMPLATE, spacing=0.8, head=True)
    assert str(space) == "heads in MNI152 at 0.8 mm"
