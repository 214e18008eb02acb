"""The reference line of tasks without repeat scans: the paired truth itself."""

from __future__ import annotations

from harmbench import HarmbenchError, Method, Needs, Scans


class Oracle(Method):
    """Returns the paired truth, so that every metric shows the best value it can take."""

    name = "oracle"
    summary = "returns the paired truth; bounds the scale from above"
    needs = Needs.TRUTH
    control = "ceiling"

    def forward(self, scans: Scans) -> Scans:
        """Return the truth of the N scans.

        Raises
        ------
        HarmbenchError
            If the scans come without it.
        """
        if scans.truth is None:
            raise HarmbenchError("the oracle was given no truth; it runs on paired tasks alone")
        return scans.with_images(scans.truth.clone())
