"""The reference line: a repeat scan of the same subject on the target scanner."""

from __future__ import annotations

from harmbench import HarmbenchError, Method, Needs, Scans


class Rescan(Method):
    """Returns a second scan of the subject on the target scanner.

    It shows how far two scans of one scanner differ. It is no strict bound: the repeat and the
    reference both have noise, so a method with less noise may score higher.
    """

    name = "rescan"
    summary = "returns a repeat scan of the subject on the target scanner; the reference line"
    needs = Needs.REPEAT
    control = "ceiling"

    def forward(self, scans: Scans) -> Scans:
        """Return the repeats of the N scans.

        Raises
        ------
        HarmbenchError
            If the scans come without repeats.
        """
        if scans.repeat is None:
            raise HarmbenchError(
                "rescan received no repeat scans; it runs on tasks with repeats only"
            )
        return scans.with_images(scans.repeat.clone())
