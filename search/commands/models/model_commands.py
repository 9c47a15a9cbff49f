"""The commands that train trials again, and about retrained models: one function for each, as in `cli`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def retrained_models(options: argparse.Namespace) -> None:
    """`toprung table RUN --retrained`."""
    from toprung.search.commands.models.retrained_output import show_models
    from toprung.search.runs.run_folder import RunFolder

    show_models(RunFolder(options.run), options.top, options.format)


def retrain(options: argparse.Namespace) -> None:
    """`toprung retrain RUN`."""
    from toprung.cluster.interrupts import defer_interrupts

    with defer_interrupts():  # an import may swallow an interrupt
        from toprung.search.commands.models.retrained_output import show_retrained
        from toprung.search.runs.run_folder import RunFolder
        from toprung.search.winner.retrain import retrain_winner

    folder = RunFolder(options.run)
    if not options.now:
        folder.refuse_while_searched()
    show_retrained(retrain_winner(folder, options.overrides, options.trial, options.address, options.promote))


def predict(options: argparse.Namespace) -> None:
    """`toprung predict RUN FILE...`."""
    from toprung.search.commands.models.predict import predict_files

    predict_files(options.run, options.files, options.format, options.out)


def export(options: argparse.Namespace) -> None:
    """`toprung export RUN --to FORMATS`."""
    from toprung.search.commands.models.export import show_exports
    from toprung.search.export.export_model import ExportRequest, export_model

    request = ExportRequest(options.to, options.quantize, options.agreement)
    show_exports(export_model(options.run, request), request.least_agreement)


def serve(options: argparse.Namespace) -> None:
    """`toprung serve RUN`."""
    from toprung.search.commands.models.serve import serve_model

    serve_model(options.run, options.host, options.port)


def rerun(options: argparse.Namespace) -> None:
    """`toprung rerun RUN TRIAL`."""
    from toprung.cluster.interrupts import defer_interrupts

    with defer_interrupts():  # an import may swallow an interrupt
        from toprung.search.commands.models.rerun import rerun_and_show
        from toprung.search.runs.run_folder import RunFolder

    rerun_and_show(RunFolder(options.run), options.trial, options.overrides, options.address)


MODEL_COMMANDS = {
    "retrain": retrain,
    "predict": predict,
    "export": export,
    "serve": serve,
    "rerun": rerun,
}
