"""The floor: scans as they are."""

from __future__ import annotations

from harmbench import Method, Needs, Scans


class Identity(Method):
    """Leaves every scan as it is; a method that scores below does harm."""

    name = "identity"
    summary = "leaves scans as they are; bounds the scale from below"
    needs = Needs.NOTHING
    control = "floor"

    def forward(self, scans: Scans) -> Scans:
        """Return a copy of the N scans."""
        return scans.with_images(scans.images.clone())
