"""Methods that claim the role of a control."""

from __future__ import annotations

from harmbench import Lazy, Method, Needs, hookimpl


class ReturnsTheTruth(Method):
    name = "returns-the-truth"
    summary = "competes with the truth in its hands"
    needs = Needs.TRUTH

    def forward(self, scans):
        return scans.with_images(scans.truth)


class LowFloor(Method):
    name = "a-floor"
    summary = "lowers the floor that all scores are measured from"
    needs = Needs.NOTHING
    control = "floor"

    def forward(self, scans):
        return scans.with_images(scans.images * 0.3)


class LowCeiling(LowFloor):
    name = "a-ceiling"
    control = "ceiling"


@hookimpl
def register_methods():
    declared = Lazy("not_imported:Floor", summary="declares it", needs="NOTHING", control="floor")
    classes = {cheat.name: cheat for cheat in (ReturnsTheTruth, LowFloor, LowCeiling)}
    return {**classes, "declared-floor": declared}
