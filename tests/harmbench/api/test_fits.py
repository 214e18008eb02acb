"""The public Python API uses the home folder of the environment unless another is given."""

from __future__ import annotations

import pytest

from harmbench import UserError, load_fitted


def test_load_fitted_uses_the_home_folder_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("HARMBENCH_HOME", str(tmp_path / "default"))
    with pytest.raises(UserError, match="default/fits"):
        load_fitted("abc")
    with pytest.raises(UserError, match="other/fits"):
        load_fitted("abc", home=tmp_path / "other")
