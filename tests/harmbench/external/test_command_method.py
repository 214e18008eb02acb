from __future__ import annotations

import logging
from pathlib import Path

import nibabel
import pytest
import torch

from harmbench import HarmbenchError, Needs, VolumeMethod
from harmbench.errors import CommandError
from harmbench.execution.compute.apply import beside_slices, harmonized_by, received_volumes
from harmbench.plugins import Registry
from harmbench.testing.suite import find
from harmbench.testing.tiny import TINY, tiny_cohort

CPU = torch.device("cpu")
# Of every script. Reads and writes the files that a command gets and gives with the standard
# library, since each start would import NumPy and nibabel, which takes five times as long.
HEAD = """
import array, gzip, os, sys, time
from pathlib import Path

TYPES = {2: "B", 16: "f"}

def read(path):
    content = gzip.decompress(Path(path).read_bytes())
    return content[:352], array.array(TYPES[content[70]], content[352:])

def write(header, values, path):
    content = header + array.array("f", values).tobytes()
    Path(path).write_bytes(gzip.compress(content, compresslevel=1))

def float32(number):
    return array.array("f", [number])[0]

def scale(path, factor, output):
    header, values = read(path)
    write(header, (value * float32(factor) for value in values), output)
"""
# The map image * 0.8 of one scan.
SCALE = "scale(sys.argv[1], 0.8, sys.argv[2])\n"
# The same for all scans of a folder; a note tells how often it was started.
FOLDER = """
with open(Path(__file__).with_name("starts"), "a") as stream:
    stream.write("x")
for path in Path(sys.argv[1]).iterdir():
    scale(path, 0.8, Path(sys.argv[2]) / path.name)
"""
# Learns the mean of the target; scales a scan by it.
FIT = """
if sys.argv[1] == "fit":
    folder, masks, model = map(Path, sys.argv[2:])
    means = []
    for path in sorted((folder / "target").iterdir()):
        inside = read(masks / "target" / path.name)[1]
        values = [v for v, m in zip(read(path)[1], inside, strict=True) if m > 0]
        means.append(sum(values) / len(values))
    (model / "mean.txt").write_text(repr(sum(means) / len(means)))
else:
    scale(sys.argv[3], float((Path(sys.argv[2]) / "mean.txt").read_text()), sys.argv[4])
"""
PER_SCAN = 'apply = ["{python}", "-S", "tool.py", "{input}", "{output}"]'
PER_FOLDER = 'apply = ["{python}", "-S", "tool.py", "{input_folder}", "{output_folder}"]'
LEARNS = """
needs = "target"
fit = ["{python}", "-S", "tool.py", "fit", "{input_folder}", "{mask_folder}", "{model}"]
apply = ["{python}", "-S", "tool.py", "apply", "{model}", "{input}", "{output}"]
"""
# With another shape or position, which nibabel writes into the header.
RESHAPED = """
sys.path.append({site!r})
import nibabel as nib
image = nib.load(sys.argv[1])
data = image.get_fdata(dtype="float32")
nib.save(nib.Nifti1Image(data[{part}], image.affine + {moved}), sys.argv[2])
"""


def reshaped(part, moved):
    site = str(Path(nibabel.__file__).parents[1])
    return RESHAPED.format(site=site, part=part, moved=moved)


class Python(VolumeMethod):
    name = "python"
    summary = "the same map in Python"
    needs = Needs.NOTHING

    def harmonize(self, scan):
        return scan.image * scan.image.dtype.type(0.8)


@pytest.fixture
def registry(tmp_path):
    """Return the plugins with a command `tool`, made of a script and lines of TOML."""

    def build(script, toml):
        (tmp_path / "tool.py").write_text(HEAD + script)
        path = tmp_path / "tool.toml"
        path.write_text(f'name = "tool"\nsummary = "a tool"\n{toml}\n')
        return Registry.discover([path])

    return build


@pytest.fixture
def command(registry):
    return lambda script, toml=PER_SCAN: registry(script, toml).entry("methods", "tool").load()


def applied(method):
    scans = tiny_cohort().scans("domain1", "test")
    source = scans.load(range(len(scans)))
    return harmonized_by(
        method, source, None, 0, CPU, beside_slices(method, scans, "domain1")
    ).images


def test_a_command_gives_the_bits_of_the_same_map_in_python(command) -> None:
    assert torch.equal(applied(command(SCALE)(TINY)), applied(Python(TINY)))


def test_a_folder_is_harmonised_by_one_start_of_the_command(command, tmp_path) -> None:
    method = command(FOLDER, PER_FOLDER)(TINY)
    scans = tiny_cohort().scans("domain1", "test")
    with method.together(received_volumes(method, scans, 0, "domain1")):
        output = applied(method)
    assert (tmp_path / "starts").read_text() == "x"
    assert torch.equal(output, applied(Python(TINY)))
    assert torch.equal(applied(method), output)  # scan by scan


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("print('no licence'); sys.exit(3)", "exit code 3; its last line: no licence"),
        ("pass", "the command wrote no output sub-"),
        (SCALE + "os.rename(sys.argv[2], sys.argv[2] + '.nii.gz')", "wrote no output .*; it wrote"),
        (SCALE.replace("0.8", "float('nan')"), "non-finite voxels"),
        (reshaped("1:", "0"), "has shape"),
        (reshaped(":", "[[0, 0, 0, 1], [0] * 4, [0] * 4, [0] * 4]"), "shifted from its input"),
        ("time.sleep(600)", "within its timeout of 2 s"),
        ("open(sys.argv[2], 'w').write('text')", "is not a gzip file"),
    ],
)
def test_a_failure_names_the_scan_and_the_reason_in_one_line(command, script, message) -> None:
    method = command(script, f"{PER_SCAN}\ntimeout = 2" if "sleep" in script else PER_SCAN)(TINY)
    with pytest.raises(CommandError, match=message) as caught:
        applied(method)
    assert str(caught.value).startswith("scan p1, session a: ")
    assert "\n" not in str(caught.value)


def test_a_changed_script_is_another_version(command) -> None:
    first = command(SCALE).version
    assert command(SCALE).version == first
    assert command(SCALE + "# other").version != first


def test_a_missing_program_is_an_error_of_its_method_alone(registry) -> None:
    plugins = registry("", 'apply = ["no-such-tool", "{input}", "{output}"]')
    with pytest.raises(HarmbenchError, match="there is no program 'no-such-tool'"):
        plugins.entry("methods", "tool").load()


def test_the_environment_names_device_and_seed(command, caplog) -> None:
    script = SCALE + "print(os.environ['D'], repr(os.environ['CUDA_VISIBLE_DEVICES']))"
    with caplog.at_level(logging.INFO, logger="harmbench.command"):
        applied(command(script, PER_SCAN + '\nenvironment = { D = "{device}" }')(TINY))
    assert "cpu ''" in {record.getMessage() for record in caplog.records}


@pytest.mark.parametrize(
    ("script", "toml"), [(SCALE, PER_SCAN), (FOLDER, PER_FOLDER), (FIT, LEARNS)]
)
def test_commands_pass_the_checks_of_methods(registry, script, toml) -> None:
    plugins = registry(script, toml)
    conformance = find("tool", registry=plugins)
    for name in ("registration", "fit", "needs", "harmonize", "shape", "range", "store", "canary"):
        result = conformance.perform(name)
        assert result.status.value in ("passed", "skipped"), (name, result.text)


def test_a_reference_is_a_training_scan_of_the_target(registry) -> None:
    plugins = registry(
        "assert Path(sys.argv[3]).is_file()\n" + SCALE,
        f'needs = "target"\n{PER_SCAN[:-1]}, "{{reference}}"]',
    )
    conformance = find("tool", registry=plugins)
    for name in ("fit", "harmonize", "store"):
        assert conformance.perform(name).status.value == "passed"
