"""Discovery, isolation and look-up of plugins, with real distributions on the path."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import harmbench_methods
import harmbench_tasks
from harmbench import builtin
from harmbench.errors import UserError
from harmbench.plugins import KINDS, Registry
from harmbench.util.lazy import Lazy

SAMPLE = Path(__file__).parents[1] / "plugins" / "sample_plugin.py"


@pytest.fixture
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    monkeypatch.setenv("HARMBENCH_HOME", str(folder))
    return folder


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a one-module distribution, as pip would leave it behind, onto the path."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def write(name: str, code: str, version: str = "1.0") -> None:
        (site / f"{name}.py").write_text(textwrap.dedent(code))
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[harmbench]\n{name} = {name}\n")

    yield write
    for path in site.glob("*.py"):
        sys.modules.pop(path.stem, None)


def find(registry: Registry, name: str):
    return next(plugin for plugin in registry.plugins if plugin.name == name)


def test_built_in_wings_are_found_as_entry_points(home):
    registry = Registry.discover()
    assert find(registry, "methods").origin == "entry point harmbench_methods"
    assert find(registry, "methods").distribution == "harmbench"
    assert {"identity", "histogram", "blindharmony"} <= set(registry.entries("methods"))
    assert [plugin.name for plugin in registry.plugins if plugin.errors] == []


def test_every_registered_name_can_be_loaded_and_agrees_with_its_class(home):
    registry = Registry.discover()
    sources = ("domain1", "elsewhere")
    for kind in KINDS:
        entries = registry.entries(kind, sources if kind == "tasks" else ())
        assert entries
        for name, entry in entries.items():
            loaded = entry.load()
            built = entry.build() if kind in ("tasks", "metrics") else loaded
            assert built.name == name
            assert entry.attributes()["summary"] == loaded.summary


def test_an_installed_plugin_is_found_with_its_distribution(home, install):
    install(
        "outside_methods",
        """
        from harmbench import hookimpl

        @hookimpl
        def register_methods():
            return {"outside": "outside_methods:Outside"}
        """,
        version="2.3",
    )
    registry = Registry.discover()
    plugin = find(registry, "outside_methods")
    assert (plugin.distribution, plugin.version) == ("outside_methods", "2.3")
    assert plugin.registers["methods"] == ["outside"]
    assert registry.entry("methods", "outside").plugin is plugin


def test_a_plugin_that_is_installed_after_a_search_is_found_by_the_next(home, install):
    code = """
        from harmbench import hookimpl

        @hookimpl
        def register_methods():
            return {}
        """
    install("first_plugin", code)
    assert find(Registry.discover(), "first_plugin").errors == []
    install("second_plugin", code)
    assert find(Registry.discover(), "second_plugin").errors == []


BUILT_IN = {
    "methods": harmbench_methods.register_methods(),
    "figures": harmbench_methods.register_figures(),
    "tasks": harmbench_tasks.register_tasks(("domain1", "elsewhere")),
    "metrics": builtin.register_metrics(),
    "cohorts": builtin.register_cohorts(),
}


def test_all_categories_have_built_in_entries():
    assert set(BUILT_IN) == set(KINDS)


@pytest.mark.parametrize(
    ("category", "name"),
    [(category, name) for category, entries in BUILT_IN.items() for name in entries],
)
def test_a_built_in_registration_declares_the_attributes_of_its_class(category, name):
    lazy = BUILT_IN[category][name]
    cls = lazy.load()
    assert lazy.summary == cls.summary
    assert lazy.control == getattr(cls, "control", None)
    assert lazy.unit == getattr(cls, "unit", "")
    assert lazy.higher_is_better is getattr(cls, "higher_is_better", None)
    assert lazy.purpose == (cls.purpose.value if category == "metrics" else None)
    assert lazy.method == getattr(cls, "method", None)
    assert lazy.needs == (cls.needs.name if category == "methods" else None)
    published = None if lazy.published is None else Lazy(lazy.published).load()
    assert published is vars(cls).get("published")


UNDECLARED = """
    from harmbench import hookimpl

    @hookimpl
    def register_methods():
        return {"outside": "outside_classes:Outside"}
    """


def test_the_class_of_a_plain_reference_is_imported_for_its_attributes(home, install):
    install("outside_methods", UNDECLARED)
    install(
        "outside_classes",
        """
        from harmbench import Needs, hookimpl

        class Base:
            summary = "is inherited"
            control = None

        class Outside(Base):
            needs = Needs.TARGET
            def method(self): "No text."
            @hookimpl
            def before_cell(cell): pass
        """,
    )
    assert Registry.discover().entry("methods", "outside").attributes() == {
        "summary": "is inherited",
        "needs": "TARGET",
        "covariates": "",
        "control": "",
        "unit": "",
        "higher_is_better": "",
        "purpose": "",
        "reference": "",
        "method": "",
    }


@pytest.mark.parametrize("code", ["1 / 0", "raise SystemExit(3)", "Other = 1"])
def test_a_plain_reference_that_cannot_be_imported_is_shown_as_such(home, install, code):
    install("outside_methods", UNDECLARED)
    install("outside_classes", code)
    attributes = Registry.discover().entry("methods", "outside").attributes()
    assert "outside" in attributes["summary"]
    assert attributes["needs"] == ""


def test_a_declared_class_is_not_imported_for_its_attributes(home, install):
    install(
        "outside_methods",
        """
        from harmbench import Lazy, hookimpl

        @hookimpl
        def register_methods():
            lazy = Lazy("outside_classes:Outside", summary="is declared", needs="TARGET")
            return {"outside": lazy}
        """,
    )
    install("outside_classes", "1 / 0")
    attributes = Registry.discover().entry("methods", "outside").attributes()
    assert (attributes["summary"], attributes["needs"]) == ("is declared", "TARGET")


BROKEN = {
    "does_not_import": ("import no_such_module_anywhere", "no_such_module_anywhere"),
    "exits": ("raise SystemExit(3)", "SystemExit"),
    "wrong_arguments": (
        "from harmbench import hookimpl\n@hookimpl\ndef register_methods(nonsense): return {}",
        "nonsense",
    ),
    "raises_when_asked": (
        "from harmbench import hookimpl\n@hookimpl\ndef register_methods(): 1 / 0",
        "division by zero",
    ),
    "returns_rubbish": (
        "from harmbench import hookimpl\n@hookimpl\ndef register_methods(): return {'a': 3}",
        "module:Class",
    ),
    "has_no_hook": ("x = 1", "no hook"),
    "syntax": ("def (", "SyntaxError"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_named_and_does_not_affect_others(name, home, install):
    code, expected = BROKEN[name]
    install(name, code)
    registry = Registry.discover()
    assert expected in find(registry, name).errors[0]
    assert "identity" in registry.entries("methods")


def test_a_broken_plugin_is_an_error_under_strictness(home, install, monkeypatch):
    install("broken_plugin", "import no_such_module_anywhere")
    monkeypatch.setenv("HARMBENCH_STRICT_PLUGINS", "1")
    with pytest.raises(UserError, match="'broken_plugin' is broken.*no_such_module_anywhere"):
        Registry.discover()


def test_two_plugins_claiming_one_name_is_an_error_naming_both(home, install):
    code = """
        from harmbench import hookimpl

        @hookimpl
        def register_methods():
            return {"mine": "somewhere:Mine"}
        """
    install("first_claim", code)
    install("second_claim", code)
    registry = Registry.discover()
    with pytest.raises(UserError, match="'mine' is registered by two.*first_claim.*second_claim"):
        registry.entries("methods")
    assert "psnr" in registry.entries("metrics")


def test_files_and_the_user_folder_are_searched(home):
    (home / "plugins").mkdir(parents=True)
    (home / "plugins" / "of_mine.py").write_text(
        "from harmbench import hookimpl\n"
        "@hookimpl\ndef register_methods(): return {'of-mine': 'of_mine:X'}\n"
    )
    registry = Registry.discover([SAMPLE], home=home)
    assert find(registry, "of_mine").origin == "user folder"
    assert find(registry, "sample_plugin").registers == {
        "methods": ["darker"],
        "tasks": [],
        "cohorts": ["sample-phantom"],
        "metrics": ["brightness"],
        "figures": ["sample-figure"],
    }
    assert registry.entry("methods", "darker").attributes()["needs"] == "NOTHING"
    assert "sample-last" in registry.entries("tasks", ("a", "b"))


def test_a_missing_plugin_file_is_an_error(home):
    with pytest.raises(UserError, match="no plugin file 'nowhere.py'"):
        Registry.discover([Path("nowhere.py")])


def test_an_event_hook_that_raises_is_reported_and_the_others_are_called(
    home, tmp_path, monkeypatch
):
    bad = tmp_path / "bad_events.py"
    bad.write_text("from harmbench import hookimpl\n@hookimpl\ndef before_cell(cell): cell.nothing")
    log = tmp_path / "log"
    monkeypatch.setenv("SAMPLE_PLUGIN_LOG", str(log))
    lines: list[str] = []
    registry = Registry.discover([bad, SAMPLE], lines.append)

    class Cell:
        title = "a cell"

    registry.call("before_cell", cell=Cell())
    assert log.read_text() == "before a cell\n"
    assert "bad_events" in lines[0]
    assert "nothing" in lines[0]


def test_an_unknown_name_gets_a_suggestion(home):
    with pytest.raises(UserError, match="no method 'identiti'; did you mean 'identity'"):
        Registry.discover().entry("methods", "identiti")


@pytest.mark.parametrize("reference", ["no colon", "harmbench.errors:NoSuchClass"])
def test_a_wrong_reference_is_an_error(reference):
    with pytest.raises(UserError, match="form 'module:Class'|no class 'NoSuchClass'"):
        Lazy(reference).load()


def test_two_files_of_one_name_do_not_meet(home, tmp_path):
    files = []
    for name in ("first", "second"):
        path = tmp_path / name / "same.py"
        path.parent.mkdir()
        path.write_text(
            f"from harmbench import hookimpl\nclass Mine: summary = '{name}'\n"
            f"@hookimpl\ndef register_methods(): return {{'{name}': Mine}}\n"
        )
        files.append(path)
    entries = Registry.discover(files).entries("methods")
    assert [entries[name].load().summary for name in ("first", "second")] == ["first", "second"]


def test_an_error_of_a_class_names_its_plugin(home, install):
    install(
        "late_failure",
        """
        from harmbench import hookimpl

        @hookimpl
        def register_methods():
            return {"late": "module_that_is_not_there:Late"}
        """,
    )
    registry = Registry.discover()
    entry = registry.entry("methods", "late")
    expected = ["method 'late': no module 'module_that_is_not_there'"]
    assert find(registry, "late_failure").errors == expected
    with pytest.raises(
        UserError, match="'late' of plugin 'late_failure'.*module_that_is_not_there"
    ):
        entry.load()


def registering(answer):
    return (
        "from harmbench import Method, Needs, hookimpl\n"
        "class Mine(Method):\n"
        "    name, summary, needs = 'mine', 'returns scans', Needs.NOTHING\n"
        "    def forward(self, scans):\n        return scans\n"
        f"@hookimpl\ndef register_methods():\n    return {answer}\n"
    )


@pytest.mark.parametrize("answer", ["[Mine]", "(Mine,)", "{'mine': Mine}"])
def test_classes_are_registered_by_name_or_as_a_list(answer, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(registering(answer))
    assert Registry.discover([file]).entry("methods", "mine").load().name == "mine"


@pytest.mark.parametrize("answer", ["Mine", "[1]", "['mine']", "None and 1 or 3"])
def test_another_answer_is_an_error_that_says_what_to_return(answer, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(registering(answer))
    (plugin,) = [each for each in Registry.discover([file]).plugins if each.name == "mine"]
    (error,) = plugin.errors
    assert error.startswith("register_methods: ")
    assert "return {name: class}, or a list of classes that have a `name`" in error
    assert "\n" not in error


def test_a_class_that_is_not_at_the_top_level_is_explained(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(registering("{'other': type('Other', (Mine,), {})}"))
    with pytest.raises(UserError, match=r"no class 'Other' at its top level; .* `Other = \.\.\.`"):
        Registry.discover([file]).entry("methods", "other").load()


def test_a_network_at_the_top_level_has_the_same_weights_in_every_process(tmp_path):
    code = (
        "import sys; from pathlib import Path; from harmbench.plugins import Registry\n"
        "entry = Registry.discover([Path(sys.argv[1])]).entry('methods', 'wrapped')\n"
        "print(entry.load().version)"
    )
    file = tmp_path / "wrapped.py"
    file.write_text(
        "from torch import nn\nfrom harmbench import as_method, hookimpl\n"
        "Wrapped = as_method(nn.Conv2d(1, 1, 3, padding=1), 'wrapped')\n"
        "@hookimpl\ndef register_methods():\n    return [Wrapped]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True
    )
    here = Registry.discover([file]).entry("methods", "wrapped").load()
    assert done.stdout.strip() == here.version
