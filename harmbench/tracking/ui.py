"""MLflow's own pages: a description of the experiment, addresses to open, and the server."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import math
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from harmbench.data.scan_kind import kind_of_scans
from harmbench.errors import UserError
from harmbench.leaderboard.board import Board, Row
from harmbench.leaderboard.formatting import number
from harmbench.leaderboard.groups import Group, grouped
from harmbench.leaderboard.standings import Standings
from harmbench.tracking import reader
from harmbench.tracking.connection import connect, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

_LOG = logging.getLogger(__name__)

# MLflow accepts descriptions of up to 20,000 characters.
_LONGEST_NOTE = 18_000
_MOST_COMPARED = 20
# The import of MLflow's server takes seconds, and minutes on a machine under load.
_SECONDS_TO_START = 300.0
_SECONDS_TO_NOTICE = 10.0


@dataclass(frozen=True)
class ExperimentPages:
    """Addresses of an experiment's pages in MLflow.

    Attributes
    ----------
    experiment
        The experiment's id.
    runs
        Runs to compare: every method once, on the first task of the newest board. Results that
        are not mirrored in MLflow yet are left out.
    query
        Filter and order of the list of runs, as MLflow's page takes them.
    described
        Title of the group whose leaderboard is the experiment's description.
    """

    experiment: str
    runs: tuple[str, ...]
    query: Mapping[str, str]
    described: str

    def page(self, address: str) -> str:
        """Return the address of the list of runs, filtered and ordered."""
        return f"{address}/#/experiments/{self.experiment}/runs?{urlencode(self.query)}"

    def compare(self, address: str) -> str:
        """Return the address of MLflow's comparison of the runs to compare."""
        runs, experiments = (
            quote(json.dumps(ids, separators=(",", ":"))) for ids in (self.runs, [self.experiment])
        )
        return f"{address}/#/compare-runs?runs={runs}&experiments={experiments}"


def describe(home: Path, declarations: Mapping[str, Mapping[str, str]]) -> ExperimentPages:
    """Write the leaderboard into the experiment's description.

    Parameters
    ----------
    home
        Home folder: holds the store unless `$MLFLOW_TRACKING_URI` names one.
    declarations
        What the registered metrics declare, such as their units.

    Raises
    ------
    UserError
        If nothing is recorded.
    """
    store = reader.read(home)
    runs = store.runs()
    groups = list(grouped(runs, store.headlines, declarations))
    if not groups:
        raise UserError(
            "no recorded run has a number; try `harmbench run -m identity -m histogram -t domain3`"
        )
    client, experiment = connect(home)
    # MLflow's public tag of descriptions, which its pages show as Markdown.
    client.set_experiment_tag(experiment, "mlflow.note.content", note(groups))
    newest = groups[0]
    cells = dict(zip(runs["run_id"], runs["cell"], strict=True))
    compared = (_mirror(client, experiment, cells[record]) for record in _compared(newest))
    return ExperimentPages(
        experiment,
        tuple(run_id for run_id in compared if run_id),
        _query(newest.first),
        described=newest.title,
    )


def _compared(group: Group) -> tuple[str, ...]:
    """Choose records: the first seed of every method on the first task that most of them have."""
    board = group.first
    task = max(board.tasks, key=lambda task: sum(_has(row, task) for row in board.rows))
    scores = [row.scores[task] for row in board.rows if _has(row, task)]
    return tuple(next(iter(score.runs.values())) for score in scores[:_MOST_COMPARED])


def _mirror(client: MlflowClient, experiment: str, cell: str) -> str:
    """Return the id of the newest MLflow run of a cell; empty if it is not mirrored yet."""
    query = f"tags.cell = '{cell}' AND attributes.status = 'FINISHED'"
    newest = client.search_runs([experiment], query, max_results=1)
    return newest[0].info.run_id if newest else ""


def _has(row: Row, task: str) -> bool:
    return task in row.scores and row.scores[task].has_value


def _query(board: Board) -> dict[str, str]:
    """Return the query of MLflow's page for the runs of a board, the best first."""
    tags = {"role": "cell", "cohort_key": board.cohort_key, "preset": board.preset}
    tags["split"] = board.split
    return {
        "searchFilter": " AND ".join(f"tags.{name} = '{text}'" for name, text in tags.items()),
        "orderByKey": f"metrics.`{board.metric}`",
        "orderByAsc": str(not board.higher_is_better).lower(),
    }


def note(groups: Sequence[Group]) -> str:
    """Write the newest boards as Markdown, as many as MLflow accepts."""
    text = [
        "Written by `harmbench ui`; `harmbench report` shows all of it. Means over subjects and "
        "seeds; methods that share a letter do not differ significantly.",
    ]
    length = 0
    for group in groups:
        tables = [_markdown(board) for board in group.shown(())]
        if group.standings is not None:
            tables.insert(0, _standings(group.standings))
        for table in tables:
            length += len(table)
            if length > _LONGEST_NOTE:
                return "\n\n".join([*text, "More boards: `harmbench leaderboard`."])
            text.append(table)
    return "\n\n".join(text)


def _standings(standings: Standings) -> str:
    """Write the ranking over families of tasks."""
    lines = [["method", "rank", *standings.families]]
    lines.append(["---", *["---:"] * (len(lines[0]) - 1)])
    for row in standings.rows[:_MOST_COMPARED]:
        families = []
        for name in standings.families:
            family = standings.compared(name)
            gain = None if family is None else family.standard_gain.get(row.label)
            letters = "" if family is None else family.letters.get(row.label, "")
            value = "" if gain is None else number(gain.mean, 1, signed=True)
            families.append(f"{value} {letters}".strip())
        lines.append([row.label, number(row.rank.mean, 1), *families])
    table = "\n".join(f"| {' | '.join(map(_escaped, line))} |" for line in lines)
    return f"### {_escaped(standings.title)}\n\n{table}"


def _markdown(board: Board) -> str:
    """Write a board with a row per task: most boards have more tasks than methods."""
    rows = board.rows[:_MOST_COMPARED]
    heads = [f"{row.label} ({row.role})" if row.role else row.label for row in rows]
    ranks = ["" if row.rank is None else number(row.rank.mean, 1) for row in rows]
    lines = [["task", *heads], ["---", *["---:"] * len(heads)]]
    if len(board.tasks) > 1:
        lines.append(["mean rank", *ranks])
    lines += [[task, *(_text(board, row, task) for row in rows)] for task in board.tasks]
    table = "\n".join(f"| {' | '.join(map(_escaped, line))} |" for line in lines)
    return (
        f"### {_escaped(board.measure.axis_title)}: {_escaped(board.cohort)}, "
        f"**{kind_of_scans(board.kind)}**, {_escaped(board.preset)} preset"
        f"{board.split_note}{_escaped(board.fit_note)}"
        f"\n\n{table}"
    )


def _text(board: Board, row: Row, task: str) -> str:
    score = row.scores.get(task)
    if score is None:
        return ""
    if math.isnan(score.value):
        return score.status
    return f"{number(score.value)} {board.letters(row.label, task)}".strip()


def _escaped(text: str) -> str:
    """Escape a name, so that no part of it is read as Markdown or HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;").replace("`", "'")


def server_address(home: Path) -> str | None:
    """Return the address of the tracking server; None if the store is a local file."""
    uri = tracking_uri(home)
    return uri.rstrip("/") if uri.startswith(("http://", "https://")) else None


@contextlib.contextmanager
def serve(home: Path, host: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run MLflow's server on the store until the block ends.

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
                f"cannot listen on {host}:{port} ({error.strerror}); choose another --port"
            ) from error
    environment = os.environ | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        # harmbench uses no background jobs.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", tracking_uri(home)]
    command += ["--host", host, "--port", str(port), "--workers", "1"]
    # A SIGTERM leaves the block as well, so that no server stays behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    server = subprocess.Popen(command, env=environment)
    try:
        wait_for_server(server, host, port)
        yield server
    finally:
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()


def wait_for_server(server: subprocess.Popen[bytes], host: str, port: int) -> None:
    """Wait until the server answers, since it listens before its pages exist.

    Raises
    ------
    UserError
        If the server ends, or does not answer.
    """
    reached = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(
        host, f"[{host}]" if ":" in host else host
    )
    # Without a proxy, which the environment may name: the server is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    started, noticed = time.monotonic(), False
    while (waited := time.monotonic() - started) < _SECONDS_TO_START:
        if server.poll() is not None:
            raise UserError(f"MLflow's server ended with code {server.returncode}; see above")
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            opener.open(f"http://{reached}:{port}/health", timeout=5),
        ):
            return
        if waited > _SECONDS_TO_NOTICE and not noticed:
            _LOG.warning("MLflow's server is starting; this may take minutes under load")
            noticed = True
        time.sleep(0.2)
    raise UserError(
        f"MLflow's server did not answer within {_SECONDS_TO_START:.0f} s; end other programs on "
        "this machine, and try again"
    )
