"""Tables in any common encoding and separator, and a line for each that cannot be read."""

from __future__ import annotations

import pytest

from harmbench.errors import UserError
from harmbench.util.text_table import read_text_table

TEXT = "participant_id\tsite\nsub-1\tKöln\nsub-2\tOulu\n"
ROWS = [{"participant_id": "sub-1", "site": "Köln"}, {"participant_id": "sub-2", "site": "Oulu"}]


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        TEXT.encode("latin-1"),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
        TEXT.replace("\t", ",").encode(),
        TEXT.replace("\t", ";").encode(),
        b"sep=;\r\n" + TEXT.replace("\t", ";").encode(),
        b"\n\n" + TEXT.replace("\n", "\n\n").encode(),
        TEXT.replace("\n", "\t\t\n").encode(),
        TEXT.replace("site", '"site"').replace("Oulu", ' "Oulu" ').encode(),
        b"\t" + TEXT.replace("\n", "\n7\t", 2).encode(),
    ],
    ids=range(16),
)
@pytest.mark.parametrize("name", ["table.tsv", "table.csv"])
def test_common_encodings_and_separators_are_read(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    table = read_text_table(path, ["participant_id"])
    assert table.columns == ("participant_id", "site")
    assert list(table.rows) == ROWS
    assert bool(table.notes) == (content == TEXT.encode("latin-1"))


def test_a_row_has_the_line_of_the_file(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('\na,b\n1,"x\ny"\n\n2,z\n')
    assert read_text_table(path, ["a"]).lines == (4, 6)


def test_a_quotation_mark_in_a_tsv_is_a_character(tmp_path):
    path = tmp_path / "table.tsv"
    path.write_text('a\tb\n1\t"he said\n2\tx"\n')
    assert [row["b"] for row in read_text_table(path, ["a"]).rows] == ['"he said', 'x"']


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("participant_id site\nsub-1 a\n", "are separated by blanks; separate them by tabs"),
        ("participant_id\tsite\nsub-1 a\n", "line 2: 1 fields, but the first line has 2; are ther"),
        ("participant_id\tsite\nsub-1\ta\tb\n", "line 2: 3 fields, but the first line has 2"),
        ("Participant_ID\tsite\n", "'participant_id'; did you mean 'Participant_ID'?"),
        ("participant_id\tsite\tsite\n", "has the column 'site' twice"),
        ("", "no column in .*'participant_id'; there are none"),
        ("/annex/objects/MD5E-s7--0.tsv\n", "is a git-annex pointer, .*: `datalad get .*table.tsv"),
        ("version https://git-lfs.github.com/spec/v1\noid x\n", "Git LFS pointer.*git lfs pull"),
    ],
)
def test_what_cannot_be_read_has_one_line(tmp_path, text, line):
    path = tmp_path / "table.tsv"
    path.write_text(text)
    with pytest.raises(UserError, match=line) as caught:
        read_text_table(path, ["participant_id"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("target", "line"),
    [
        (".git/annex/objects/Qw/mK/MD5E-s7--0/MD5E-s7--0.tsv", "broken link, .*`datalad get "),
        ("elsewhere.tsv", "is a broken link: fetch its content or remove it"),
    ],
)
def test_a_broken_link_has_its_cure(tmp_path, target, line):
    path = tmp_path / "table.tsv"
    path.symlink_to(target)
    with pytest.raises(UserError, match=line):
        read_text_table(path, ["participant_id"])


def test_a_missing_file_and_a_folder_have_one_line(tmp_path):
    with pytest.raises(UserError, match=r"there is no file .*none\.tsv"):
        read_text_table(tmp_path / "none.tsv", ["a"])
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_text_table(tmp_path, ["a"])
