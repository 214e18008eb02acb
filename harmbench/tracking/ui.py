"""MLflow's own pages made ready to read: a note, a view, runs to compare, models; and served."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from harmbench.data.scan_kind import kind_of_scans
from harmbench.errors import UserError
from harmbench.leaderboard.formatting import short
from harmbench.leaderboard.groups import Group, grouped
from harmbench.leaderboard.table import Board, Row
from harmbench.tracking import reader as recorded
from harmbench.tracking.connection import connect, tracking_uri
from harmbench.tracking.model_registry import Best, best_fits, register

# Name of the view of runs that the experiment is opened with.
VIEW = "harmbench"
# MLflow takes 20,000 characters of a note.
_LONGEST_NOTE = 18_000
_MOST_COMPARED = 20
_SECONDS_TO_START = 60.0


@dataclass(frozen=True)
class Ready:
    """An experiment that is ready to be looked at.

    Attributes
    ----------
    experiment
        Its id.
    runs
        Runs that are worth comparing: every method once, on the first task of the newest board.
    lines
        What was done, for the user.
    """

    experiment: str
    runs: tuple[str, ...]
    lines: tuple[str, ...]

    def page(self, address: str) -> str:
        """Return the address of the experiment's runs, in the view made for them."""
        return f"{address}/#/experiments/{self.experiment}/runs?viewStateShareKey={VIEW}"

    def compare(self, address: str) -> str:
        """Return the address of MLflow's comparison of the runs worth comparing."""
        runs, experiments = (
            quote(json.dumps(ids, separators=(",", ":"))) for ids in (self.runs, [self.experiment])
        )
        return f"{address}/#/compare-runs?runs={runs}&experiments={experiments}"


def prepare(units: Mapping[str, str], *, models: bool = True) -> Ready:
    """Write the leaderboard into the experiment's description, and register the best fits.

    Parameters
    ----------
    units
        Units of metrics.
    models
        Whether to register.

    Raises
    ------
    UserError
        If nothing is recorded.
    """
    store = recorded.read()
    runs = store.runs()
    groups = list(grouped(runs, store.headlines, units))
    if not groups:
        raise UserError(
            "no recorded run has a number; try `harmbench run -m identity -m histogram -t domain3`"
        )
    client, experiment = connect()
    newest = groups[0]
    tags = {
        "mlflow.note.content": note(groups, store.headlines),
        # Without it MLflow asks whether this is about chatting with a language model.
        "mlflow.experimentKind": "custom_model_development",
        f"mlflow.sharedViewState.{VIEW}": json.dumps(view(newest, store.headlines)),
    }
    for name, text in tags.items():
        client.set_experiment_tag(experiment, name, text)
    lines = [f"description: the leaderboard of {newest.title}"]
    if models:
        # Of cohorts and presets of one name, the newest.
        found: dict[str, Best] = {}
        for group in groups:
            for best in best_fits(group.first, group.runs):
                found.setdefault(best.model, best)
        made = register(list(found.values()))
        lines += [f"registered {best.model}, version {n}: {best.words}" for best, n in made]
    return Ready(experiment, _compared(newest), tuple(lines))


def _compared(group: Group) -> tuple[str, ...]:
    """Choose runs: the first seed of every method on the first task that most of them have."""
    board = group.first
    task = max(board.tasks, key=lambda task: sum(_has(row, task) for row in board.rows))
    known = [row.scores[task] for row in board.rows if _has(row, task)]
    return tuple(score.runs[score.seeds[0]] for score in known[:_MOST_COMPARED])


def _has(row: Row, task: str) -> bool:
    return task in row.scores and row.scores[task].known


def view(group: Group, headlines: Sequence[str]) -> dict[str, object]:
    """Return the view of runs that MLflow is opened with, as its own page would store it.

    Parameters
    ----------
    group
        Whose cells are shown.
    headlines
        Metrics that are columns.
    """
    first = group.first
    metrics = [name for name in headlines if any(b.metric == name for b in group.boards)]
    facts = ["fit_seconds", "harmonize_seconds_per_scan", "n_parameters"]
    columns = [f"tags.`{name}`" for name in ("label", "task", "seed", "status")]
    columns += [f"metrics.`{name}`" for name in (*metrics, *facts)]
    asked = {
        "role": "cell", "cohort_key": first.cohort_key, "preset": first.preset,
    }  # fmt: skip
    return {
        "searchFilter": " AND ".join(f"tags.{name} = '{text}'" for name, text in asked.items()),
        "orderByKey": f"metrics.`{first.metric}`",
        "orderByAsc": not first.higher_is_better,
        "selectedColumns": columns,
        "runsHiddenMode": "FIRST_20_RUNS",
    }


def note(groups: Sequence[Group], headlines: Sequence[str]) -> str:
    """Write the newest boards as Markdown, as many as MLflow takes."""
    text = [
        "Written by `harmbench ui`; `harmbench report` has it in full. Means over subjects and "
        "seeds; (1) is the tier of the best: within a tier nobody can be told apart.",
    ]
    length = 0
    for group in groups:
        main = [board for board in group.boards if board.metric in headlines] or group.boards[:1]
        for board in main:
            table = _markdown(board)
            length += len(table)
            if length > _LONGEST_NOTE:
                return "\n\n".join([*text, "More boards: `harmbench leaderboard`."])
            text.append(table)
    return "\n\n".join(text)


def _markdown(board: Board) -> str:
    """Write a board, tasks down the side: there are mostly more of them than methods."""
    rows = board.rows[:_MOST_COMPARED]
    heads = [f"{row.label} ({row.control})" if row.control else row.label for row in rows]
    ranks = ["" if row.rank is None else f"{row.rank.mean:.1f}" for row in rows]
    lines = [["task", *heads], ["---", *["---:"] * len(heads)]]
    if len(board.tasks) > 1:
        lines.append(["mean rank", *ranks])
    lines += [[task, *(_text(row, task) for row in rows)] for task in board.tasks]
    table = "\n".join(f"| {' | '.join(map(_escaped, line))} |" for line in lines)
    direction = "higher is better" if board.higher_is_better else "lower is better"
    unit = f" [{board.measure.unit}]" if board.measure.unit else ""
    return (
        f"### {_escaped(board.metric)}{unit}, {direction}: {_escaped(board.cohort)}, "
        f"**{kind_of_scans(board.kind)}**, {_escaped(board.preset)} preset\n\n{table}"
    )


def _text(row: Row, task: str) -> str:
    score = row.scores.get(task)
    if score is None:
        return ""
    if math.isnan(score.value):
        return score.status
    return short(score.value) + (f" ({score.tier})" if score.tier else "")


def _escaped(text: str) -> str:
    """Names are to be seen as they are: no part of them is Markdown or HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;").replace("`", "'")


def server_address() -> str | None:
    """Return the address of the server that keeps the store, or None if it is a file here."""
    uri = tracking_uri()
    return uri.rstrip("/") if uri.startswith(("http://", "https://")) else None


@contextlib.contextmanager
def serve(host: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Start MLflow's server on the store, and end it with the block.

    Raises
    ------
    UserError
        If the port is taken, or the server does not start.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UserError(
                f"{host}:{port} cannot be listened on ({error.strerror}); name another --port"
            ) from error
    environment = os.environ | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        # Nothing here asks for jobs in the background.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    command = [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", tracking_uri(),
        "--host", host, "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    # A plain kill leaves the block, too, and no server behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    server = subprocess.Popen(command, env=environment)
    try:
        _wait(server, host, port)
        yield server
    finally:
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()


def _wait(server: subprocess.Popen[bytes], host: str, port: int) -> None:
    began = time.monotonic()
    while time.monotonic() - began < _SECONDS_TO_START:
        if server.poll() is not None:
            raise UserError(f"MLflow's server ended with code {server.returncode}; see above")
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
            return
        time.sleep(0.2)
    raise UserError(f"MLflow's server did not answer within {_SECONDS_TO_START:.0f} s")
