"""`toprung serve`: a retrained model behind HTTP, by MLflow's own server, in this process."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from toprung.results.serving.pyfunc_model import load_pyfunc
from toprung.search.winner.find_model import found_model


def serve_model(named: str, host: str, port: int) -> None:
    """Serve a model until the command is interrupted.

    The server reads the file of the run itself, so that a run that was moved or was never registered is served too.

    Args:
        named: A run, whose champion is served, the folder of one of its models, or a .keras file.
        host: The address to listen at.
        port: The port.

    Raises:
        InputError: There is no such model.
        OSError: The port is taken.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with found_model(named) as found, TemporaryDirectory(prefix="toprung-") as scratch:
        model = load_pyfunc(found.path, Path(scratch) / "model")
        import uvicorn
        from mlflow.pyfunc import scoring_server

        name = found.kept.name if found.kept else str(found.path)
        print(f"serving {name} at http://{host}:{port}/invocations; Ctrl-C ends it")
        print('send {"dataframe_records": [{"image": "<a file as base64>"}]}', flush=True)
        uvicorn.run(scoring_server.init(model), host=host, port=port, log_level="warning")
