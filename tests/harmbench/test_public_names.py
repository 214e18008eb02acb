"""The public names of harmbench."""

from __future__ import annotations

import pytest

import harmbench


def test_everything_public_can_be_imported():
    assert all(getattr(harmbench, name) is not None for name in harmbench.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        harmbench.nonsense  # noqa: B018
