from __future__ import annotations

import pytest

from harmbench.errors import UserError
from harmbench.external.command_file import read_command_file

SMALLEST = {"name": '"tool"', "summary": '"a tool"', "apply": '["tool", "{input}", "{output}"]'}
TARGET = {"needs": '"target"', "fit": '["tool", "{input_folder}", "{model}"]'}


def read(folder, **keys):
    path = folder / "tool.toml"
    values = {**SMALLEST, **keys}
    path.write_text("".join(f"{key} = {value}\n" for key, value in values.items() if value))
    return read_command_file(path)


def test_the_smallest_file_has_defaults(tmp_path) -> None:
    file = read(tmp_path)
    assert (file.space, file.head, file.needs, file.per_folder) == (
        "acquired",
        False,
        "nothing",
        False,
    )


def test_a_command_on_a_folder_is_known_by_its_placeholders(tmp_path) -> None:
    assert read(tmp_path, apply='["tool", "{input_folder}", "{output_folder}"]').per_folder


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"aply": '["x"]'}, "no key 'aply'; did you mean 'apply'?"),
        ({"apply": ""}, "apply: the key is missing"),
        ({"apply": '"tool {input} {output}"'}, "apply: input should be a list"),
        ({"apply": '["tool", "{inptu}", "{output}"]'}, "did you mean 'input'?"),
        ({"apply": '["tool", "{input}"]'}, "no argument contains {output}"),
        ({"apply": '["tool", "{input}", "{output_folder}"]'}, "use one kind"),
        ({"apply": '["tool", "{input}", "{output}", "{model}"]'}, "add fit = [...]"),
        ({"apply": '["tool", "{input}", "{output}", "{reference}"]'}, 'add needs = "target"'),
        ({"name": '"My Tool"'}, "name: "),
        ({"needs": '"tagret"'}, "no needs 'tagret'; did you mean 'target'?"),
        ({"needs": '"truth"'}, "no needs 'truth'"),
        ({"needs": '"target"'}, "no command uses these scans"),
        ({**TARGET, "needs": ""}, 'add needs = "target"'),
        ({**TARGET, "fit": '["tool", "{input_folder}"]'}, "no argument contains {model}"),
        ({"spacing": "1.0"}, "spacing: it belongs to space"),
        ({"space": '"mni"'}, "space: "),
        ({"timeout": "0"}, "timeout: "),
        ({"environment": '{ A = "{devise}" }'}, "did you mean 'device'?"),
        ({"apply": '["docker", "run", "a", "{input}", "{output}"]'}, "version_command"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path, keys, message) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, **keys)
    text = str(caught.value)
    assert message in text
    assert text.startswith("command tool.toml: ")
    assert "\n" not in text


def test_braces_of_other_programs_stay(tmp_path) -> None:
    inspect = '["docker", "image", "inspect", "--format", "{{.Id}}", "a"]'
    file = read(
        tmp_path, apply='["docker", "run", "a", "{input}", "{output}"]', version_command=inspect
    )
    assert file.version_command is not None
    assert "{{.Id}}" in file.version_command
