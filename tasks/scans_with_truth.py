"""Test scans with a truth: of subjects on both scanners, or of the target with a simulated shift.

The simulated scanner stands in where no subject was scanned on both scanners.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from harmbench import Cohort, ScanSet, SkipCell, TaskData, Transform

from . import SIMULATED
from .domains import choose
from .scan_changes import Changes, SliceChange, versions
from .scanner_shift import ScannerShift, draw_shift
from .simulated_scanner import SimulatedScanner

# Returns the changes of a scan, one for each version. Arguments: all scans, and the number of one.
Draw = Callable[[ScanSet, int], Sequence[SliceChange | None]]


class CurveScanner(SimulatedScanner):
    """The simulated scanner with one curve for all tissues: it reads no labels.

    A change of the anatomy moves tissues to other voxels, where their labels are not.
    """

    name = "sim-scanner-curve"

    def draw(
        self, scans: ScanSet, seed: int, *, labelled: bool, normalization: str
    ) -> ScannerShift:
        """Draw the scanner, and a session for every scan."""
        return draw_shift(scans, seed, self.name, tissues=False, normalization=normalization)


@dataclass(frozen=True, kw_only=True)
class ScansToChange:
    """Labelled source scans to change.

    Attributes
    ----------
    data
        What methods are fitted on, and the test scans before any change.
    source
        Test scans without a transform: those of the source domain, or of the target if a
        simulated scanner shifts them.
    shift
        The shift of `source`, or None.
    """

    data: TaskData
    source: ScanSet
    shift: Transform | None


@dataclass(frozen=True, kw_only=True)
class ScansWithTruth(ScansToChange):
    """Source scans to change, and their truth.

    Attributes
    ----------
    truth
        The same subjects on the target scanner, in the same order.
    """

    truth: ScanSet

    def changed(
        self, names: Sequence[str], of_source: Draw, of_truth: Draw, **more: ScanSet
    ) -> TaskData:
        """Return the task's data with every scan in several versions.

        Parameters
        ----------
        names
            Names of the versions.
        of_source, of_truth
            Return the changes of a source scan and of its truth.
        more
            Further scans of the scorer.
        """
        test, truth = versions(self.source, names), versions(self.truth, names)
        numbers = tuple(n for n in range(len(self.source)) for _ in names)
        scans = range(len(self.source))
        shifted = Changes(
            scans=test,
            changes=tuple(change for n in scans for change in of_source(self.source, n)),
            shift=self.shift,
            numbers=numbers if self.shift is not None else (),
        )
        unshifted = Changes(
            scans=truth,
            changes=tuple(change for n in scans for change in of_truth(self.truth, n)),
        )
        return replace(
            self.data,
            test=test.with_transform(shifted),
            references=truth.with_transform(unshifted),
            repeats=None,
            no_repeats="no rescan has the change of the scan",
            extra=dict(more),
            parameters={**self.data.parameters, "versions": list(names)},
        )


def with_truth(cohort: Cohort, name: str, seed: int, *, labelled: bool) -> ScansWithTruth:
    """Return the test scans of a source domain, or of the simulated scanner, with their truth.

    Parameters
    ----------
    cohort, name, seed
        The cohort, a source domain or `SIMULATED`, and the base seed.
    labelled
        Whether the scans must have tissue labels.

    Raises
    ------
    SkipCell
        If there are no such scans.
    """
    if name == SIMULATED:
        simulated = _simulated(cohort, seed, labelled=labelled)
        return ScansWithTruth(
            data=simulated.data,
            source=simulated.source,
            truth=simulated.source,
            shift=simulated.shift,
        )
    data = choose(cohort, name, labelled=labelled)
    if data.references is None:
        raise SkipCell(
            f"no test subject was scanned on both '{name}' and '{cohort.target}' in the same "
            "space; the task of the simulated scanner has a truth"
        )
    return ScansWithTruth(data=data, source=data.test, truth=data.references, shift=None)


def scans_to_change(cohort: Cohort, name: str, seed: int) -> ScansToChange:
    """Return the labelled test scans of a source domain, or of the simulated scanner.

    Parameters
    ----------
    cohort, name, seed
        As of `with_truth`.

    Raises
    ------
    SkipCell
        If there are no such scans.
    """
    if name == SIMULATED:
        return _simulated(cohort, seed, labelled=True)
    data = choose(cohort, name, labelled=True)
    if not data.test.labelled:
        raise SkipCell(f"source '{name}' has no test scans that have labels")
    return ScansToChange(data=data, source=data.test, shift=None)


def _simulated(cohort: Cohort, seed: int, *, labelled: bool) -> ScansToChange:
    scanner = CurveScanner()
    data = scanner.setup(cohort, seed)
    source = cohort.scans(cohort.target, "test", labelled=labelled)
    if not len(source):
        raise SkipCell(f"no test scan of the target '{cohort.target}' has labels")
    shift = scanner.draw(source, seed, labelled=False, normalization=cohort.normalization)
    data = replace(data, parameters={"shift": shift.digest})
    return ScansToChange(data=data, source=source, shift=shift)
