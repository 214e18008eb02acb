"""A cohort for tuning: its validation subjects are scored, its test subjects are left out."""

from __future__ import annotations

from harmbench.data.cohort import Cohort
from harmbench.errors import UserError
from harmbench.util.hashing import digest


def for_tuning(cohort: Cohort) -> Cohort:
    """Return the cohort with other splits, for comparing settings without any test subject.

    Validation subjects become test subjects. Scans of the former test subjects are left out.
    A part of the training subjects becomes the validation subjects, so that no method chooses
    by the subjects that it is scored on: as many as there were validation subjects of the
    target, at most a quarter of the target's training subjects, in the order of a hash of
    their names.

    Raises
    ------
    UserError
        If the cohort has no validation subjects.
    """
    table = cohort.table[cohort.table["split"] != "test"].copy()
    target = table[table["domain"] == cohort.target]
    scored = set(table.loc[table["split"] == "validation", "subject"])
    n_scored = target.loc[target["split"] == "validation", "subject"].nunique()
    if not n_scored:
        raise UserError(
            f"cohort '{cohort.name}' has no validation subjects of the target to tune on; use a "
            "cohort with more subjects, or --split test"
        )
    trained = sorted(
        set(target.loc[target["split"] == "train", "subject"]),
        key=lambda subject: digest("validation while tuning", subject),
    )
    validation = set(trained[: min(n_scored, len(trained) // 4)])
    table["split"] = [
        "test" if subject in scored else "validation" if subject in validation else "train"
        for subject in table["subject"]
    ]
    return cohort.with_splits(table, "tuning")
