"""`toprung serve`: a retrained model behind HTTP, by MLflow's own server, in this process."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from toprung.results.serving.pyfunc_model import load_pyfunc
from toprung.search.retrained.find_model import found_model
from toprung.spaces.errors import InputError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


def serve_model(named: str, host: str, port: int) -> None:
    """Serve a model until the command is interrupted.

    The server reads the file of the run itself, so that a run that was moved or was never registered is served too.

    Args:
        named: A run, whose champion is served, the folder of one of its models, or a .keras file.
        host: The address to listen at.
        port: The port.

    Raises:
        InputError: There is no such model, or nothing can be listened at there.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with (
        listening(host, port) as opened,
        found_model(named) as found,
        TemporaryDirectory(prefix="toprung-") as scratch,
    ):
        model = load_pyfunc(found.path, Path(scratch) / "model")
        import uvicorn
        from mlflow.pyfunc import scoring_server

        name = found.kept.name if found.kept else str(found.path)
        print(f"serving {name} at http://{host}:{port}/invocations; Ctrl-C ends it")
        print('send {"dataframe_records": [{"image": "<a file as base64>"}]}', flush=True)
        app = scoring_server.init(model)
        app.add_exception_handler(RecursionError, _too_deep)
        settings = uvicorn.Config(app, log_level="warning")
        with suppress(KeyboardInterrupt):
            uvicorn.Server(settings).run(sockets=[opened])


async def _too_deep(_: Request, error: Exception) -> Response:
    """The answer to brackets in brackets beyond what the JSON parser of MLflow's server takes."""
    from starlette.responses import JSONResponse

    return JSONResponse({"error_code": "BAD_REQUEST", "message": f"nested too deeply: {error}"}, 400)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens; it is opened before the model is loaded, which takes seconds.

    Raises:
        InputError: The host has no such address, or the port is taken.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
        return socket.create_server((address[0], port), family=family)
    except socket.gaierror as error:
        raise InputError.single(
            "--host", f"{host!r} ({error.strerror})", "an address of this machine"
        ) from None
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError.single("--port", f"{host}:{port} ({reason})", "a port that is free here") from None
