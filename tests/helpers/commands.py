"""Command methods for the tests: a program of the standard library, which starts in no time."""

from __future__ import annotations

from pathlib import Path

# Halves the image of a scan, a compressed NIfTI file in float32. It notes each call in `calls`, and
# fails on the scans whose numbers in order of their first calls are in the file `bad`.
TOOL = """
import array, gzip, sys
from pathlib import Path

FOLDER = Path(__file__).parent

def halve(path, output):
    with (FOLDER / "calls").open("a") as stream:
        stream.write(path.name + "\\n")
    names = list(dict.fromkeys((FOLDER / "calls").read_text().split()))
    if str(names.index(path.name)) in (FOLDER / "bad").read_text().split():
        sys.exit("no brain in this scan")
    content = gzip.decompress(path.read_bytes())
    voxels = array.array("f", content[352:])
    halved = array.array("f", (value / 2 for value in voxels))
    output.write_bytes(gzip.compress(content[:352] + halved.tobytes()))

source, target = map(Path, sys.argv[1:3])
if source.is_dir():
    for path in sorted(source.iterdir()):
        halve(path, target / path.name)
else:
    halve(source, target)
"""
TOML = """
name = "tool"
summary = "halve"
apply = ["{python}", "-S", "tool.py", "{input}", "{output}"]
"""
# The same map as a class, on volumes.
CLASS = """
import numpy as np
from harmbench import Needs, VolumeMethod, hookimpl

class Darker(VolumeMethod):
    name, summary, needs = "darker", "halve", Needs.NOTHING

    def harmonize(self, scan):
        return scan.image * np.float32(0.5)

@hookimpl
def register_methods():
    return {"darker": Darker}
"""


class Tool:
    """The command in a folder: `tool.toml` and `tool.py`.

    Parameters
    ----------
    folder
        The folder.
    toml
        The content of the TOML file.
    """

    def __init__(self, folder: Path, toml: str = TOML) -> None:
        self._folder = folder
        (folder / "tool.py").write_text(TOOL)
        (folder / "tool.toml").write_text(toml)
        self.fail()

    def fail(self, *places: int) -> None:
        """Let it fail on scans, by their number in the order of their first calls."""
        (self._folder / "bad").write_text(" ".join(map(str, places)))

    @property
    def calls(self) -> list[str]:
        """The names of the scans that it was called with, in order."""
        path = self._folder / "calls"
        return path.read_text().split() if path.exists() else []
