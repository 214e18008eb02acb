"""Control roles, which bound the scale: reserved for methods built into harmbench."""

from __future__ import annotations

from typing import Any

from harmbench.contracts.needs import Needs

# The distribution whose methods may be controls.
BUILT_IN = "harmbench"

CONTROL_NEEDS = tuple(needs.name for needs in Needs if needs.control_only)


def role_fault(method: Any, distribution: str) -> str | None:
    """Return why a class must not be registered as it is, in one line with the fix, or None.

    Parameters
    ----------
    method
        A class, or the declaration of its attributes (`Lazy`).
    distribution
        The installed distribution that registers it; a path for a single file.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> role_fault(SimpleNamespace(needs="TARGET", control=None), "my-package")
    >>> role_fault(SimpleNamespace(needs="NOTHING", control="floor"), "harmbench")
    """
    control, needs = getattr(method, "control", None), getattr(method, "needs", None)
    if control and distribution != BUILT_IN:
        return (
            f"it claims the control role '{control}', which is reserved for methods built into "
            "harmbench; remove `control`"
        )
    name = getattr(needs, "name", needs)
    if name in CONTROL_NEEDS and not control:
        return (
            f"it declares Needs.{name}, which is for controls: a method that competes receives no "
            "target scan of a test subject; declare needs = Needs.PAIRED to learn from pairs"
        )
    return None
