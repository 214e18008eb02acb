"""Digests depend on content only."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harmbench.util.hashing import canonical, digest


def test_digests_do_not_depend_on_the_process():
    code = "from harmbench.util.hashing import digest; print(digest({'b': {2, 1}, 'a': 0.1}, None))"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert outputs == {digest({"a": 0.1, "b": {1, 2}}, None)}


def test_values_without_a_stable_form_are_refused():
    with pytest.raises(TypeError, match="object has no canonical form"):
        canonical({"a": object()})
