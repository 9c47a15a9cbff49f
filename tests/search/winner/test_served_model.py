"""A retrained model behind HTTP: it answers image files as `toprung predict` does, and refuses what is none."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kept_digits import DIGITS
from PIL import Image

from toprung.search.cli import main
from toprung.search.retrained.champion import decide
from toprung.search.retrained.kept_models import kept_models
from toprung.search.runs.run_folder import RunFolder
from toprung.search.winner.registration import register
from toprung.trainables.data.dataset import load

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
README = (Path(__file__).parents[3] / "README.md").read_text()
LEFT_OUT = ("ray", "optuna", "cmaes", "obstore", "boto3")


def test_a_server_answers_image_files_as_predict_does_to_the_last_digit_and_refuses_what_is_none(
    kept_run: Path, tmp_path: Path, toprung: Any
) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    # What the target `serve` of cluster/Dockerfile leaves out is not needed.
    text = f"import sys\nsys.modules.update(dict.fromkeys({LEFT_OUT!r}))\n"
    (blocked / "sitecustomize.py").write_text(text)
    with free_port() as port:
        server = toprung("serve", kept_run, "--port", port, env={"PYTHONPATH": str(blocked)})
    wait_for_answer(f"http://127.0.0.1:{port}/ping", server.process)
    check_answers(kept_run, tmp_path, port)
    code, answer = post(port, "[" * 20000)
    assert code == 400 and "nested too deeply" in answer
    server.signal(signal.SIGINT)
    ended = server.wait()
    assert ended.returncode == 0 and ended.stdout.startswith("serving t00001-s7 at http://127.0.0.1:")


def test_mlflow_serves_the_registered_champion_by_the_command_of_the_readme(
    kept_run: Path, tmp_path: Path, programs: str
) -> None:
    (model,) = kept_models(RunFolder(str(kept_run)))
    register(RunFolder(str(kept_run)).job(), model.folder.run, model, decide(model.folder.run, model))
    command = re.search(r"MLFLOW_TRACKING_URI=\S+\s+mlflow\s+models\s+serve[^`]+", README)
    assert command is not None
    typed = (
        command.group()
        .replace("runs/quickstart", str(kept_run))
        .replace("models:/quickstart@", "models:/digits@")
    )
    assert "@champion --env-manager local" in typed
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    with free_port() as port:
        line = f"exec env {' '.join(typed.split())} --port {port}"
        server = subprocess.Popen(
            ["bash", "-c", line], cwd=tmp_path, env=environment, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        wait_for_answer(f"http://127.0.0.1:{port}/ping", server)
        check_answers(kept_run, tmp_path, port)
        for kind, body in {
            "no JSON": "{",
            "another column": '{"dataframe_records": [{"picture": "aGFsbG8="}]}',
            "no image": '{"dataframe_records": []}',
            "no key": '{"images": []}',
        }.items():
            code, answer = post(port, body)
            assert 400 <= code < 500 and len(answer) > 20, kind
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.fixture
def programs(tmp_path: Path) -> str:
    """The folder of this environment's programs, or one that has those of MLflow where it has none."""
    installed = Path(sys.executable).parent
    if all((installed / name).exists() for name in ("mlflow", "uvicorn")):
        return str(installed)
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, start in (("mlflow", "mlflow.cli import cli"), ("uvicorn", "uvicorn.main import main as cli")):
        (folder / name).write_text(f"#!{sys.executable}\nfrom {start}\ncli()\n")
        (folder / name).chmod(0o755)
    return str(folder)


@contextmanager
def free_port() -> Iterator[int]:
    """A port that is free until the end of the block."""
    with socket.socket() as found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(("127.0.0.1", 0))
        yield found.getsockname()[1]


def check_answers(run: Path, tmp_path: Path, port: int) -> None:
    """Compare a server's answers with those of `toprung predict`, and send it what is no image."""
    files = []
    for number, image in enumerate(load(DIGITS).test().images[:12]):
        files.append(tmp_path / f"{number:02d}.png")
        Image.fromarray(np.kron(image[..., 0], np.ones((3, 2), np.uint8))).save(files[-1])
    out = str(tmp_path / "said")
    assert main(["predict", str(run), *map(str, files), "--format", "parquet", "--out", out]) == 0
    said = pd.read_parquet(out)
    for group in (files[:5], files[5:], files[:1]):
        code, answer = post_images(port, [base64.b64encode(file.read_bytes()).decode() for file in group])
        assert code == 200, answer
        for file, row in zip(group, json.loads(answer)["predictions"], strict=True):
            expected = said[said["file"] == str(file)].iloc[0]
            assert row["label"] == expected["predicted"]
            for name, value in row["probabilities"].items():
                assert np.float32(value) == expected[f"probability/{name}"]
    array = load(DIGITS).test().images[0]
    for other in (array, np.kron(array[..., 0], np.ones((4, 4), int))):
        assert post_images(port, [other.tolist()])[0] == 200
    refused = {
        "no base64": "a text!",
        "not an image": base64.b64encode(b"nonsense").decode(),
        "float64": (array / 255).tolist(),
        "0 to 255": (array.astype(int) + 200).tolist(),
        "different lengths": [[1, 2], [3]],
        "shape": [1, 2, 3],
    }
    for reason, given in refused.items():
        code, answer = post_images(port, [given])
        assert 400 <= code < 500 and reason in answer, answer


def post_images(port: int, images: list[Any]) -> tuple[int, str]:
    return post(port, json.dumps({"dataframe_records": [{"image": image} for image in images]}))


def post(port: int, content: str) -> tuple[int, str]:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", content.encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def wait_for_answer(address: str, server: subprocess.Popen[Any], secs: float = 120) -> None:
    deadline = time.monotonic() + secs
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            assert server.poll() is None and time.monotonic() < deadline, "the server did not come up"
            time.sleep(0.2)
