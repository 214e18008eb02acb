"""Settings from the command line into typed configs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from harmbench.errors import UserError
from harmbench.execution.plan.settings import apply, changes, label, parse


@dataclass(frozen=True)
class Config:
    rate: float = 0.1
    steps: int = 10
    centred: bool = False
    scope: Literal["foreground", "slice"] = "foreground"
    widths: tuple[int, ...] = (1, 2)
    limit: float | None = None

    def __post_init__(self):
        if self.steps < 1:
            raise ValueError("steps must be at least 1")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("rate", "2", 2.0),
        ("rate", "1e-3", 0.001),
        ("steps", "5", 5),
        ("centred", "true", True),
        ("scope", "slice", "slice"),
        ("widths", "[3, 4, 5]", (3, 4, 5)),
        ("limit", "1", 1.0),
    ],
)
def test_values_get_the_type_of_their_field(name, text, value):
    config = apply("m", Config(), {name: text})
    assert getattr(config, name) == value
    assert type(getattr(config, name)) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("rate", "fast", "m.rate=fast: expected float"),
        ("steps", "1.5", "expected int"),
        ("steps", "true", "expected int"),
        ("rate", "true", "expected float"),
        ("centred", "1", "expected bool"),
        ("scope", "brain", "must be one of foreground, slice"),
        ("steps", "0", "steps must be at least 1"),
        ("stps", "1", "no setting of 'm' 'stps'; did you mean 'steps'"),
    ],
)
def test_the_error_names_the_setting_and_the_expected_type(name, text, message):
    with pytest.raises(UserError, match=message):
        apply("m", Config(), {name: text})


@pytest.mark.parametrize("text", ["", "m.a", "a=1", ".a=1", "m.=1"])
def test_the_error_of_a_malformed_assignment_shows_the_form(text):
    with pytest.raises(UserError, match="METHOD.FIELD=VALUE"):
        parse([text])


def test_the_label_names_settings_that_differ_from_the_preset():
    config = apply("m", Config(), {"steps": "5", "rate": "0.1"})
    assert label("m", changes(config, Config())) == "m[steps=5]"
