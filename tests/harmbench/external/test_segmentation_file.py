from __future__ import annotations

import pytest

from harmbench.errors import UserError
from harmbench.external.segmentation_file import read_segmentation_file

KEYS = {
    "name": '"tool"',
    "summary": '"a tool"',
    "apply": '["tool", "{input}", "{output}"]',
    "tissues": "{ csf = [4], gm = [3, 42] }",
}


def read(folder, **keys):
    path = folder / "tool.toml"
    path.write_text("".join(f"{key} = {value}\n" for key, value in {**KEYS, **keys}.items()))
    return read_segmentation_file(path)


def test_labels_of_tissues_keep_their_order(tmp_path) -> None:
    file = read(tmp_path)
    assert list(file.tissues.items()) == [("csf", (4,)), ("gm", (3, 42))]
    assert file.result is None


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"tissues": "{}"}, "tissues"),
        ({"tissues": "{ csf = [] }"}, "csf"),
        ({"tissues": "{ csf = [0] }"}, "background"),
        ({"tissues": "{ csf = [4], gm = [4] }"}, "label 4"),
        ({"tissues": '{ csf = ["a"] }'}, "csf"),
        ({"fit": '["tool", "{model}"]', "needs": '"target"'}, "learns nothing"),
        ({"apply": '["tool", "{input_folder}", "{output_folder}"]'}, "{input}"),
        ({"space": '"MNI152"'}, "space"),
        ({"head": "true"}, "head"),
        ({"result": '"../labels.nii"'}, "result"),
        ({"result": '"/labels.nii"'}, "result"),
        ({"tissue": "1"}, "did you mean 'tissues'?"),
    ],
)
def test_mistakes_get_one_line(keys, named, tmp_path) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, **keys)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "tool.toml" in str(caught.value)
