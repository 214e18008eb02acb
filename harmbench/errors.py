"""The errors that harmbench raises on purpose."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class HarmbenchError(Exception):
    """Base of all errors raised on purpose."""


class UserError(HarmbenchError):
    """A mistake that the user can fix; the command line prints it in one line and exits with 2."""

    @classmethod
    def unknown(cls, category: str, name: str, known: Iterable[str]) -> UserError:
        """Return the error for an unknown name, with the closest known name.

        Examples
        --------
        >>> str(UserError.unknown("task", "domian3", ["domain3", "sim-exp"]))
        "no task 'domian3'; did you mean 'domain3'?"
        """
        names = sorted(known)
        close = get_close_matches(name, names, n=1)
        if close:
            hint = f"did you mean '{close[0]}'?"
        elif names:
            hint = f"there are: {', '.join(names)}"
        else:
            hint = "there are none"
        return cls(f"no {category} '{name}'; {hint}")


class BadScanError(HarmbenchError):
    """A scan cannot be used; it is left out and named, and the other scans are processed."""


class CommandError(BadScanError):
    """A command failed on a scan, or its output for the scan cannot be used.

    Parameters
    ----------
    subject, session
        The scan, as the command knows it.
    reason
        In one line.
    """

    def __init__(self, subject: str, session: str, reason: str) -> None:
        name = f"{subject}, session {session}" if session else subject
        super().__init__(f"scan {name}: {reason}" if subject else reason)
        self.subject, self.session, self.reason = subject, session, reason


class BlindnessError(HarmbenchError):
    """A method asked for data that its declared needs do not entitle it to."""


class SharedSubjectsError(HarmbenchError):
    """Source and target data of a method without pairs share subjects."""


class ContractError(HarmbenchError):
    """A method broke the contract of `Method.forward`; carries the property and the fix."""


class SkipCell(HarmbenchError):  # noqa: N818 - a status with a reason, not an error
    """A cell cannot be computed; carries the reason. Raised by `Task.setup`."""


class DivergedError(HarmbenchError):
    """A fit or an output diverged to infinity or NaN."""


def one_line(error: BaseException) -> str:
    """Format an error in one line, with the file and line that raised it."""
    text = " ".join(str(error).split()) or "no message"
    frames = traceback.extract_tb(error.__traceback__)
    location = ""
    if frames and not isinstance(error, SyntaxError):
        location = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})"
    return f"{type(error).__name__}: {text}{location}"
