from gpu.table import PARTS, REDUCED, page


def results(reduced=False, **parts):
    return {"reduced": reduced, "device": "cuda", "parts": parts}


def test_missing_and_failed_parts_are_named():
    text = page(results(sharing={"error": "a process of 2 failed", "seconds": 3.0}))
    assert text.count("Not measured.") == len(PARTS) - 1
    assert "a process of 2 failed" in text
    assert REDUCED not in text


def test_numbers_of_a_cpu_are_called_none_of_a_gpu():
    assert REDUCED in page(results(reduced=True))


def test_tests_with_errors_are_named():
    tests = {"passed": 4, "failed": 0, "skipped": 1, "error": 1, "failures": ["a.py::test_b"]}
    text = page(results(cuda_tests={"result": tests, "seconds": 1.0}))
    assert "4 passed, 0 failed, 1 skipped, 1 with an error." in text
    assert "- a.py::test_b" in text


def test_the_ratio_of_a_variant_is_relative_to_stock_nflows():
    size = {
        "batch": 8,
        "slices": 50,
        "iterations": 10,
        "training step": {"stock nflows": [0.4, 0.3, 0.5], "ours": [0.1, 0.1, 0.2]},
        "harmonise": {"stock nflows": [9.0, 9.0, 9.0]},
        "failures": {"ours, compiled": "no compiler"},
    }
    text = page(results(flow_variants={"result": {"quick": size}, "seconds": 1.0}))
    assert "| quick: training step, ours | 0.1 [0.1, 0.2] | 4.00 |" in text
    assert "- ours, compiled: no compiler" in text


def test_unfinished_training_has_its_projected_hours():
    training = {
        "preset": "paper",
        "finished": False,
        "resumed at": 40,
        "step": 100,
        "steps": 20_000,
        "seconds": 360.0,
        "projected hours": 20.0,
        "loss": [(50, 3.5)],
    }
    text = page(results(training={"result": training, "seconds": 1.0}))
    assert "from step 40 to 100" in text
    assert "20.0 h" in text
