"""Names of the tags and metrics of a cell's MLflow run."""

from __future__ import annotations

# A tag with the head of a record as JSON, so that a table of ten thousand runs is read quickly; a
# tag with the subjects' names; prefixes of the tags with their values, and of curves.
SUMMARY = "summary"
SUBJECTS = "subjects"
METRIC = "metric."
CURVES = "fit."
# The id of the record in the results store of the home that computed the cell.
RECORD = "record"
# Names of MLflow's own, and the prefix of versions.
USER = "mlflow.user"
COMMAND = "mlflow.source.name"
COMMIT = "mlflow.source.git.commit"
VERSION = "version."
