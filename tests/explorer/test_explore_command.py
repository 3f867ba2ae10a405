"""The command ``explore`` as a user starts and ends it."""

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import closing
from http.client import HTTPConnection

import pytest
from synthetic import GAIA, ROOT

from stars import pair_folder
from stellar_emulator.cli import main

COMMAND = "import sys; from stellar_emulator.cli import main; sys.exit(main(sys.argv[1:]))"


def test_it_answers_on_this_machine_alone_until_it_is_interrupted() -> None:
    started = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "explore", pair_folder(), "--port", "0"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert started.stdout
        line = started.stdout.readline()
        address = re.fullmatch(r"open http://127\.0\.0\.1:(\d+)(/[\w-]{22}/) in a browser\n", line)
        assert address, line
        with closing(HTTPConnection("127.0.0.1", int(address[1]), timeout=60)) as connection:
            connection.request("GET", f"{address[2]}model")
            assert GAIA.name.encode() in connection.getresponse().read()
        started.send_signal(signal.SIGINT)
        out, err = started.communicate(timeout=60)
    finally:
        started.kill()
    assert started.returncode == 0
    assert out.endswith("ended\n")
    assert err == ""


def test_a_busy_port_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        assert main(["explore", "--port", str(port)]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert f"port {port} of host 127.0.0.1 can't be served on" in line


def test_a_model_that_is_none_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "nowhere", "--port", "0"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "nowhere is no model's folder" in line
