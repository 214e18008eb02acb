"""The wait for MLflow's server: it ends when pages are served, not when the port is open."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from harmbench.errors import UserError
from harmbench.tracking.ui import wait_for_server

# Listens at once, and answers after a second, as MLflow does under load after minutes.
SLOW = """
import http.server, sys, time

class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Pages)
time.sleep(1)
server.serve_forever()
"""


@pytest.fixture
def start():
    started = []

    def start(code):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        started.append(subprocess.Popen([sys.executable, "-c", code, str(port)]))
        return started[-1], port

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_the_wait_ends_when_the_server_answers(start, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    process, port = start(SLOW)
    began = time.monotonic()
    wait_for_server(process, "127.0.0.1", port)
    assert time.monotonic() - began > 0.9
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"http://127.0.0.1:{port}/health", timeout=1) as answer:
        assert answer.status == 200


def test_a_server_that_ends_is_an_error(start):
    process, port = start("raise SystemExit(3)")
    with pytest.raises(UserError, match="code 3"):
        wait_for_server(process, "127.0.0.1", port)
