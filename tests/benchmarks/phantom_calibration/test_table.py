import json

import pytest
from phantom_calibration import table
from phantom_calibration.rows import ROWS, Row

ROW = Row("Noise", "SNR", "mean", "snr", 0)


def sites(scatter=0.0, subjects=4, **values):
    return {
        name: {"mean": {"snr": value}, "scatter": {"snr": scatter}, "subjects": subjects}
        for name, value in values.items()
    }


def test_scanners_outside_the_range_are_named_with_their_side():
    real, phantom = sites(a=20.0, b=40.0), sites(one=19.0, two=30.0, three=41.0)
    assert table.verdict(ROW, real, phantom) == "no, one below; three above"
    assert table.verdict(ROW, real, sites(one=41.0, two=50.0)) == "no, all above"


def test_the_ends_of_the_range_are_inside():
    assert table.verdict(ROW, sites(a=20.0, b=40.0), sites(one=20.0, two=40.0)) == "yes"


def test_distances_within_two_standard_errors_are_marked():
    # Standard error of the difference: the root of 3^2 / 9 + 4^2 / 4, 2.236.
    real, near, far = (
        sites(a=20.0, scatter=3.0, subjects=9),
        sites(one=24.4, scatter=4.0),
        sites(one=24.6, scatter=4.0),
    )
    assert table.verdict(ROW, real, near) == "within error"
    assert table.verdict(ROW, real, far) == "no, all above"


def test_error_of_a_scatter_is_that_of_a_standard_deviation():
    (site,) = sites(a=20.0, scatter=3.0, subjects=9).values()
    assert ROW._replace(part="scatter").error(site) == pytest.approx(3 / 4)
    assert ROW._replace(part="relative").error(site) == pytest.approx(3 / 20 / 4)


def test_a_row_without_a_range_is_not_judged():
    row = ROW._replace(judged=False)
    assert table.verdict(row, sites(a=20.0), sites(one=90.0)) == "not judged"
    empty = {"one": {"mean": {}}}
    assert table.verdict(ROW, sites(a=20.0), empty) == "not measured"


def test_relative_scatter_is_divided_by_the_mean():
    row = ROW._replace(part="relative")
    assert row.value({"mean": {"snr": 20.0}, "scatter": {"snr": 5.0}}) == 0.25
    assert row.value({"mean": {}, "scatter": {}}) is None


def test_rows_are_different():
    assert len({(row.part, row.quantity) for row in ROWS}) == len(ROWS)
    assert len({row.title for row in ROWS}) == len(ROWS)


def test_text_between_the_marks_is_replaced():
    page = f"a\n{table.BEGIN}\nold\n{table.END}\nb"
    assert table.replaced(page, "new") == f"a\n{table.BEGIN}\nnew\n{table.END}\nb"
    with pytest.raises(ValueError, match="no marks"):
        table.replaced("a", "new")


def site(value):
    """Return a summary in which every quantity of the rows has this value."""
    parts = {"mean": {}, "scatter": {}, "site": {}}
    for row in ROWS:
        for part in ("site",) if row.part == "site" else ("mean", "scatter"):
            parts[part][row.quantity] = value
    return {"scans": 3, "subjects": 2, **parts}


def test_command_line_writes_json_and_page(tmp_path, monkeypatch, capsys):
    real, phantom, page = (tmp_path / name for name in ("real.json", "phantom.json", "page.md"))
    real.write_text(json.dumps({"sites": {"a": site(1.0), "b": site(2.0)}}))
    phantom.write_text(json.dumps({"sites": {"target": site(9.0)}}))
    page.write_text(f"{table.BEGIN}\n{table.END}\n")
    output = tmp_path / "both.json"
    arguments = ["table", str(real), str(phantom), "--json", str(output), "--page", str(page)]
    monkeypatch.setattr("sys.argv", arguments)
    table.main()
    text = page.read_text()
    assert (
        "| SD of the log field within the brain | 1.000 | 2.000 | 9.000 | no, all above |" in text
    )
    assert "a 2 subjects (3 scans)" in text
    assert capsys.readouterr().out.strip() in text
    assert json.loads(output.read_text()).keys() == {"real", "phantom"}


def test_real_values_are_read_from_an_earlier_table(tmp_path):
    path = tmp_path / "both.json"
    path.write_text(json.dumps({"real": {"sites": {"a": 1}}, "phantom": {"sites": {"b": 2}}}))
    assert table.measurements(path, "real") == {"sites": {"a": 1}}
    path.write_text(json.dumps({"sites": {"a": 1}}))
    assert table.measurements(path, "real") == {"sites": {"a": 1}}
