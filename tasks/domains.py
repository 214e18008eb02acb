"""Real source domains: scans of one scanner, to be brought to the look of another."""

from __future__ import annotations

from harmbench import Cohort, SkipCell, Task, TaskData

from . import domain_task


class Domain(Task):
    """Harmonise the test scans of a source domain.

    Where test people were scanned on the target's scanner too, in the same space, only
    they are tested, against those scans, as in the paper. Where nobody was, everybody of
    the source's test split is, and nobody knows the truth.

    Parameters
    ----------
    source
        Name of the source domain.
    """

    summary = "harmonise the scans of a source scanner"

    def __init__(self, source: str) -> None:
        self.source = source
        self.name = domain_task(source)

    def setup(self, cohort: Cohort, seed: int) -> TaskData:
        """Choose the scans; nothing is random.

        Raises
        ------
        SkipCell
            If the source has no test scans, or the target none to fit on.
        """
        pairs = cohort.pairs(self.source, "test")
        test, references = pairs or (cohort.scans(self.source, "test"), None)
        target = cohort.scans(cohort.target, "train")
        if not len(test):
            raise SkipCell(f"source '{self.source}' has no test scans")
        if not len(target):
            raise SkipCell(f"target '{cohort.target}' has no training scans")
        return TaskData(
            target=target,
            validation=cohort.scans(cohort.target, "validation"),
            test=test,
            references=references,
            source=cohort.scans(self.source, "train"),
            pairs=cohort.pairs(self.source, "train"),
            no_pairs=(
                f"no person was scanned on both '{self.source}' and "
                f"'{cohort.target}' in the same space"
            ),
            parameters={"source": self.source, "paired": references is not None},
        )
