import gzip
import sys

import numpy as np
import torch

from harmbench.cohorts.phantom import template as templates
from harmbench.cohorts.phantom.template import depth, template_key


def at(template, volume, x, y, z):
    oz, ox, oy = template.origin
    return volume[round(z - oz), round(x - ox), round(y - oy)]


def test_template_is_a_brain_in_mni_space(template):
    csf, grey, white = template.maps[:3].astype(float) / 255
    assert at(template, white, 20, -30, 30) > 0.9  # centrum semiovale
    assert at(template, grey, 14, 12, 10) > 0.8  # caudate head
    assert min(at(template, csf, 5, 5, 16), at(template, csf, -5, 5, 16)) > 0.8  # frontal horns
    assert (csf + grey + white).max() < 1.01


def test_distance_is_positive_inside_and_changes_by_a_millimetre_each_millimetre(template):
    distance = depth(torch.from_numpy(template.maps[3]).float()).numpy()
    tissue = template.maps[:3].sum(0, dtype=np.int64) > 128
    assert (distance[tissue] > -1.5).mean() > 0.99
    assert (distance[~tissue] < 1.5).mean() > 0.99
    near = np.abs(distance) < 6
    slope = np.sqrt(sum(step**2 for step in np.gradient(distance)))[near]
    assert 0.8 < np.median(slope) < 1.1


def test_the_key_follows_the_files(monkeypatch, tmp_path):
    """With a package of that name on another path, whose maps have other content."""
    data = tmp_path / "nilearn" / "datasets" / "data"
    data.mkdir(parents=True)
    (tmp_path / "nilearn" / "__init__.py").write_text("")
    keys = {template_key()}
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "nilearn", raising=False)
    for content in (b"one", b"two"):
        (data / "mni_icbm152_gm.nii.gz").write_bytes(gzip.compress(content))
        templates.template_key.cache_clear()
        keys.add(template_key())
    templates.template_key.cache_clear()
    assert len(keys) == 3
