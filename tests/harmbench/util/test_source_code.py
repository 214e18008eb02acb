"""The hash of a class's code covers what it imports, and ignores what computes nothing."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys

import pytest

from harmbench.util.source_code import code_version, module_code

METHOD = """
from .helper import factor
from . import other

class Method:
    version = "1"

    def forward(self, image):
        return image * factor()
"""
HELPER = """
def factor():
    return 0.9
"""
PRINT = """
import sys
sys.path.insert(0, {root!r})
import importlib
from harmbench.util.source_code import code_version
print(code_version(importlib.import_module({module!r}).Method))
"""


@pytest.fixture(params=["src", "site-packages"])
def package(request, tmp_path):
    """A package as an editable install sees it, and one that is copied among the libraries."""
    folder = tmp_path / request.param / "pack"
    folder.mkdir(parents=True)
    for name, text in {"__init__": "", "method": METHOD, "helper": HELPER, "other": ""}.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def version_of(package, module="pack.method"):
    """The version as a new process sees it."""
    program = PRINT.format(root=str(package.parent), module=module)
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    return done.stdout.strip()


def test_the_code_of_an_imported_helper_and_of_files_loaded_by_name_counts(package):
    first = version_of(package)
    (package / "helper.py").write_text(HELPER.replace("0.9", "0.1"))
    second = version_of(package)
    (package / "loaded_by_name.py").write_text("weights = [1, 2]\n")
    third = version_of(package)
    assert len({first, second, third}) == 3


def test_a_module_of_its_own_and_another_folder_of_the_package_count(package):
    (package / "inner").mkdir()
    inner = METHOD.replace("from .", "from pack.").replace("pack. import", "pack import")
    (package / "inner" / "__init__.py").touch()
    (package / "inner" / "method.py").write_text(inner)
    alone = package.parent / "alone.py"
    alone.write_text(inner)
    first = [version_of(package, module) for module in ("pack.inner.method", "alone")]
    (package / "helper.py").write_text(HELPER.replace("0.9", "0.1"))
    alone.write_text(inner.replace("image *", "image / 2 *"))
    second = [version_of(package, module) for module in ("pack.inner.method", "alone")]
    assert all(before != after for before, after in zip(first, second, strict=True))


def test_the_library_of_a_base_does_not_count(package, tmp_path):
    library = tmp_path / "site-packages" / "library"
    library.mkdir(parents=True, exist_ok=True)
    (library / "__init__.py").write_text("class Module:\n    scale = 1\n")
    derived = METHOD.replace("class Method:", "class Method(Module):")
    (package / "method.py").write_text(
        f"import sys\nsys.path.append({str(library.parent)!r})\n"
        f"from library import Module\n{derived}"
    )
    before = version_of(package)
    (library / "__init__.py").write_text("class Module:\n    scale = 2\n")
    assert version_of(package) == before


def test_comments_docstrings_and_blank_lines_do_not_count(package):
    first = version_of(package)
    (package / "helper.py").write_text(
        '"""A helper."""\n\n# Why\ndef factor():\n    """Return it."""\n\n    return 0.9  # dB\n'
    )
    assert version_of(package) == first
    (package / "helper.py").write_text(
        'def factor():\n    text = """0.9"""\n    return float(text)\n'
    )
    assert version_of(package) != first


def test_the_declared_version_counts(package):
    first = version_of(package)
    (package / "method.py").write_text(METHOD.replace('"1"', '"2"'))
    assert version_of(package).startswith("2+")
    assert version_of(package) != first


def test_a_built_in_method_does_not_depend_on_another_method():
    from harmbench.util.source_code import _closure

    files = _closure(["methods.unet"])
    assert {"methods.unet", "harmbench.training.batches", "harmbench.contracts.method"} <= set(
        files
    )
    assert not {name for name in files if name.startswith(("methods.cyclegan", "torch", "numpy"))}
    assert not {name for name in files if name.startswith(("harmbench.cli", "harmbench.tracking"))}


def test_modules_that_are_named_by_string_exist():
    from harmbench.execution.plan import fit, question
    from harmbench.util.source_code import _NOT_COMPUTING

    for name in (*_NOT_COMPUTING, fit._FITTER, question._HARMONIZING):
        assert importlib.util.find_spec(name) is not None
    assert module_code(fit._FITTER) != module_code(question._HARMONIZING)


def test_a_class_without_a_file_is_hashed_by_its_version():
    namespace = {"__name__": "nowhere"}
    exec("class Method:\n    version = '7'\n", namespace)
    assert code_version(namespace["Method"]).startswith("7+")
