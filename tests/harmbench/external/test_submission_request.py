from __future__ import annotations

from pathlib import Path

import pytest

from harmbench.errors import UserError
from harmbench.external.submission_request import SubmissionRequest


@pytest.mark.parametrize("name", ["", "a b", "[x]", "a@b", "-a", "ä"])
def test_a_name_that_cannot_be_typed_is_refused(name) -> None:
    with pytest.raises(UserError, match="--name"):
        SubmissionRequest(folder=Path(), name=name)


def test_a_date_has_one_form() -> None:
    with pytest.raises(UserError, match="--date '28.11.2026'"):
        SubmissionRequest(folder=Path(), name="a", date="28.11.2026")
    assert SubmissionRequest(folder=Path(), name="HACA3+", date="2026-11-28").name == "HACA3+"
