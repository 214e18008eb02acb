"""The measurements as one Markdown page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

REDUCED = (
    "**These are no results of a GPU.** Every part ran at reduced size on a CPU, which shows that "
    "it works. Speed, memory and agreement on a GPU are unmeasured."
)


def page(results: Mapping[str, Any]) -> str:
    """Return the page; parts that failed or are missing are named."""
    parts = results["parts"]
    lines = ["# Measurements on a GPU", ""]
    lines += ["`make gpu` writes this page and `results.json`.", ""]
    if results["reduced"]:
        lines += [REDUCED, ""]
    for name, write in _SECTIONS.items():
        part = parts.get(name)
        lines += [f"## {name.replace('_', ' ').capitalize()}", ""]
        if part is None:
            lines += ["Not measured.", ""]
        elif "error" in part:
            lines += [f"Failed: {part['error']}", ""]
        else:
            lines += [*write(part["result"]), ""]
    return "\n".join(lines).rstrip() + "\n"


def _rows(header: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> list[str]:
    rule = ("---", *("---:" for _ in header[1:]))
    return ["| " + " | ".join(cells) + " |" for cells in (header, rule, *rows)]


def _spread(values: list[float], digits: int = 4) -> str:
    median, low, high = (f"{value:.{digits}g}" for value in values)
    return f"{median} [{low}, {high}]"


def _machine(result: Mapping[str, Any]) -> list[str]:
    return _rows(("property", "value"), ((name, str(value)) for name, value in result.items()))


def _tests(result: Mapping[str, Any]) -> list[str]:
    counts = ", ".join(f"{result[name]} {name}" for name in ("passed", "failed", "skipped"))
    return [
        f"Tests that need a CUDA device: {counts}, {result['error']} with an error.",
        *(f"- {name}" for name in result["failures"]),
    ]


def _agreement(result: Mapping[str, Any]) -> list[str]:
    def methods() -> Iterator[tuple[str, ...]]:
        for name, value in result["methods"].items():
            if "error" in value:
                yield f"`{name}`", value["error"], ""
            else:
                yield f"`{name}`", f"{value['mean']:.2g}", f"{value['largest']:.2g}"

    def metrics() -> Iterator[tuple[str, ...]]:
        for name, value in result["metrics"].items():
            yield f"`{name}`", value.get("error") or f"{value['relative']:.2g}"

    return [
        "Differences between device and CPU, of images in [0, 1], after a fit on the CPU:",
        "",
        *_rows(("method", "mean", "largest"), methods()),
        "",
        *_rows(("metric", "largest relative difference"), metrics()),
    ]


def _flow(result: Mapping[str, Any]) -> list[str]:
    lines = ["Seconds, median [quartiles]; the ratio is stock nflows / variant.", ""]

    def rows() -> Iterator[tuple[str, ...]]:
        for size, values in result.items():
            for operation in ("training step", "harmonise"):
                stock = values[operation]["stock nflows"][0]
                for variant, seconds in values[operation].items():
                    ratio = f"{stock / seconds[0]:.2f}"
                    yield f"{size}: {operation}, {variant}", _spread(seconds), ratio

    lines += _rows(("operation", "seconds", "ratio"), rows())
    sizes = (
        f"{size}: {values['batch']} slices a step; a scan of {values['slices']} slices, "
        f"{values['iterations']} iterations"
        for size, values in result.items()
    )
    lines += ["", "; ".join(sizes) + "."]
    failures = {name: why for values in result.values() for name, why in values["failures"].items()}
    return [*lines, *(f"- {name}: {why}" for name, why in failures.items())]


def _throughput(result: Mapping[str, Any]) -> list[str]:
    rows = (
        (name, f"{result[name]:.0f}" if name == "reading" else _spread(result[name]))
        for name in ("reading", "kept on the device", "read for each batch")
    )
    size = f"{result['slices per batch']} slices of {result['pixels']} pixels a batch."
    return [*_rows(("batches", "slices/s"), rows), "", size]


def _sharing(result: Mapping[str, Any]) -> list[str]:
    return [
        f"One process: {result['one process']:.3g} training steps/s; two processes together: "
        f"{result['two processes']:.3g}, ratio {result['ratio']:.2f}."
    ]


def _out_of_memory(result: Mapping[str, Any]) -> list[str]:
    free, tight = result["loss"]
    return [
        f"With {result['limit_mib']} MiB instead of {result['peak_mib']:.0f} MiB, the training "
        f"continued with {result['parts']} parts of each batch: loss {tight:.5f} instead of "
        f"{free:.5f}."
    ]


def _training(result: Mapping[str, Any]) -> list[str]:
    if result["finished"]:
        return [f"The {result['preset']} preset is trained and scored."]
    loss = ", ".join(f"{value:.3f} (step {step})" for step, value in result["loss"])
    hours = result["projected hours"]
    projected = "" if hours is None else f", so {hours:.1f} h for all {result['steps']} steps"
    return [
        f"Preset {result['preset']}, from step {result['resumed at']} to {result['step']} in "
        f"{result['seconds']:.0f} s in total{projected}. Loss: {loss or 'none yet'}."
    ]


_SECTIONS = {
    "machine": _machine,
    "cuda_tests": _tests,
    "agreement": _agreement,
    "flow_variants": _flow,
    "throughput": _throughput,
    "sharing": _sharing,
    "out_of_memory": _out_of_memory,
    "training": _training,
}
PARTS = tuple(_SECTIONS)
