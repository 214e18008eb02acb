"""Control roles are reserved for methods built into harmbench."""

from __future__ import annotations

import pytest

from harmbench.errors import UserError
from harmbench.plugins import Registry
from helpers import PLUGINS

RESERVED = "which is reserved for methods built into harmbench; remove `control`"
ROLES = {
    "returns-the-truth": "it declares Needs.TRUTH, which is for controls",
    "a-floor": f"it claims the control role 'floor', {RESERVED}",
    "a-ceiling": f"it claims the control role 'ceiling', {RESERVED}",
    "declared-floor": f"it claims the control role 'floor', {RESERVED}",
}


@pytest.fixture(scope="module")
def registry():
    return Registry.discover([PLUGINS / "role_cheats.py"])


@pytest.mark.parametrize("method", ["returns-the-truth", "a-floor", "a-ceiling"])
def test_a_plugin_that_claims_a_role_is_refused_when_it_is_used(registry, method):
    with pytest.raises(UserError) as refusal:
        registry.entry("methods", method).load()
    assert f"'{method}' of plugin 'role_cheats' is refused: {ROLES[method]}" in str(refusal.value)


def test_the_plugin_is_reported_as_broken_at_registration(registry):
    (plugin,) = (plugin for plugin in registry.plugins if plugin.name == "role_cheats")
    for method, reason in ROLES.items():
        assert any(f"'{method}' is refused: {reason}" in error for error in plugin.errors)


def test_built_in_controls_keep_their_roles(registry):
    roles = {
        name: entry.attributes()["control"]
        for name, entry in registry.entries("methods").items()
        if entry.plugin.distribution == "harmbench"
    }
    assert roles["identity"] == "floor"
    assert roles["oracle"] == "ceiling"
    for name, role in roles.items():
        if role:
            assert registry.entry("methods", name).load().control == role
