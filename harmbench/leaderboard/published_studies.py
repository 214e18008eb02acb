"""Numbers that papers report on a study, shown beside boards of the same study."""

from __future__ import annotations

from dataclasses import dataclass

ALL = "all scanners"  # in place of a task: the paper pools them


@dataclass(frozen=True, kw_only=True)
class StudyNumber:
    """A number that a paper reports on a study.

    Attributes
    ----------
    cohort, metric
        The cohort's name and the metric here; the number is shown where both match.
    method
        The method in the paper.
    value
        The number.
    source, data
        Paper; and statistic, data, and how the number was read.
    """

    cohort: str
    metric: str
    method: str
    value: float
    source: str
    data: str


_HACA3_PLUS = "Hays et al., MIDL 2026"
_ON_HARMONY = "T1w of ON-Harmony, median over images, 1 mm, read from a figure (about ±0.2)"

STUDY_NUMBERS = tuple(
    StudyNumber(
        cohort="on-harmony",
        metric=metric,
        method=method,
        value=value,
        source=_HACA3_PLUS,
        data=_ON_HARMONY if metric == "psnr" else _ON_HARMONY.replace("0.2", "0.01"),
    )
    for metric, method, value in (
        ("psnr", "HACA3", 21.6),
        ("psnr", "HACA3+", 25.7),
        ("ssim", "HACA3", 0.84),
        ("ssim", "HACA3+", 0.89),
    )
)
