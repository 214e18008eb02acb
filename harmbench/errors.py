"""The errors that harmbench raises on purpose."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class HarmbenchError(Exception):
    """Base of all errors raised on purpose."""


class UserError(HarmbenchError):
    """A mistake that its user can mend; the command line prints it in one line and exits with 2."""

    @classmethod
    def unknown(cls, kind: str, name: str, known: Iterable[str]) -> UserError:
        """Say that there is no such thing, and what was probably meant.

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
        return cls(f"no {kind} '{name}'; {hint}")


class BadScanError(HarmbenchError):
    """One scan cannot be used; it is left out by name and the others go on."""


class BlindnessError(HarmbenchError):
    """A method asked for data that its declared needs do not entitle it to."""


class SkipCell(HarmbenchError):  # noqa: N818 - an outcome with a reason, not a fault
    """A cell that cannot be, with the reason; raised by `Task.setup`."""


class DivergedError(HarmbenchError):
    """A fit or an output ran away to infinity or not-a-number."""


def one_line(error: BaseException) -> str:
    """Put an error into one line, with the place in the plugin where it came up."""
    text = " ".join(str(error).split()) or "no message"
    frames = traceback.extract_tb(error.__traceback__)
    place = ""
    if frames and not isinstance(error, SyntaxError):
        place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})"
    return f"{type(error).__name__}: {text}{place}"
