"""MODEL_CARD.md: what a model is, what it takes, what it scores and what it must not be trusted with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from toprung.trainables.saved_model.description import ModelDescription

WORST_CLASSES, CONFUSIONS = 10, 5
FEW_IMAGES = 30


def model_card(report: Mapping[str, Any], about: ModelDescription) -> str:
    """The card as Markdown, from the report of the retraining and the model's own description."""
    return "\n".join(_lines(report, about)) + "\n"


def _lines(report: Mapping[str, Any], about: ModelDescription) -> Iterator[str]:
    evaluation = report["evaluation"]
    height, width, _ = about.image_shape
    yield f"# {about.run}: model {about.name}"
    yield ""
    yield f"Tells {len(about.classes)} classes of images apart ({about.task}); by toprung {about.toprung_version}."
    yield ""
    yield "## What it takes and gives"
    yield ""
    yield f"- Images of {width}x{height} pixels, {about.colour_order}, uint8 from 0 to 255; others are refused."
    if about.fit:
        yield f"- An image of another size is first made square: {about.fit}, {_RESIZE}; `toprung predict` does it."
    yield f"- {_gives(about)}"
    yield f"- Classes in order: {', '.join(about.classes)}."
    yield ""
    yield "## What it scores"
    yield ""
    if evaluation is None:
        yield "It was not tested: the job has no test images."
    else:
        yield from _tested(report, evaluation)
    yield ""
    yield from _origin(report, about)


def _tested(report: Mapping[str, Any], evaluation: Mapping[str, Any]) -> Iterator[str]:
    yield f"On {evaluation['images']} test images that no training has seen, read at {report['test_reads'][-1]}:"
    yield ""
    yield from _scores(evaluation)
    yield ""
    yield from _classes(evaluation)
    yield ""
    yield "![confusion matrix](confusion.png) ![reliability](reliability.png) ![mistakes](mistakes.png)"


def _origin(report: Mapping[str, Any], about: ModelDescription) -> Iterator[str]:
    yield "## Where it comes from"
    yield ""
    epochs = "1 epoch" if report["epochs"] == 1 else f"{report['epochs']} epochs"
    trained = f"seed {report['seed']}, {epochs} on train + validation"
    yield f"- Trial {about.trial_id} of run {about.run}, {trained}."
    yield f"- Why this one: {report['winner']['why']}."
    yield f"- Configuration: {', '.join(f'{name}={value}' for name, value in sorted(report['config'].items()))}."
    yield f"- Data fingerprint {about.data_fingerprint[:16]}, training fingerprint {about.training_fingerprint[:16]}."
    yield ""
    yield "## Limits"
    yield ""
    yield from _limits(report)


_RESIZE = "resized with an antialiased bicubic filter"


def _gives(about: ModelDescription) -> str:
    if about.task == "binary":
        return f"One number: the probability of {about.classes[1]!r}."
    if about.task == "multilabel":
        return "For each class the probability that the image shows it; above 0.5 it is said to."
    return "For each class its probability; together 1."


def _scores(evaluation: Mapping[str, Any]) -> Iterator[str]:
    accuracy, calibration = evaluation["accuracy"], evaluation["calibration"]
    yield "| score | value |"
    yield "|---|---|"
    yield f"| accuracy | {accuracy['value']:.4f} (95% interval {accuracy['low']:.4f} to {accuracy['high']:.4f}) |"
    for count, value in (evaluation["top_k"] or {}).items():
        if count != "1":
            yield f"| one of the {count} most probable | {value:.4f} |"
    yield f"| balanced accuracy | {evaluation['balanced_accuracy']:.4f} |"
    yield f"| macro F1 | {evaluation['macro']['f1']:.4f} |"
    yield f"| AUC | {evaluation['auc']:.4f} |"
    yield f"| always the most frequent label | {evaluation['constant_accuracy']:.4f} |"
    for key, name in (("loss", "negative log-likelihood"), ("calibration_error", "calibration error")):
        after, before = calibration["after"][key], calibration["before"][key]
        yield f"| {name} | {after:.4f} ({before:.4f} uncalibrated) |"


def _classes(evaluation: Mapping[str, Any]) -> Iterator[str]:
    weakest = sorted(evaluation["classes"], key=lambda each: (each["f1"] is not None, each["f1"] or 0.0))
    yield f"The {min(WORST_CLASSES, len(weakest))} weakest classes:" if len(weakest) > 2 else "By class:"
    yield ""
    yield "| class | precision | recall | F1 | images |"
    yield "|---|---|---|---|---|"
    for each in weakest[:WORST_CLASSES]:
        values = " | ".join(
            "-" if each[key] is None else f"{each[key]:.3f}" for key in ("precision", "recall", "f1")
        )
        yield f"| {_cell(each['name'])} | {values} | {each['support']} |"
    confusions = evaluation["confusions"][:CONFUSIONS]
    if confusions:
        told = (f"{each['label']} as {each['predicted']} ({each['count']})" for each in confusions)
        yield ""
        yield f"Most frequent mistakes: {', '.join(told)}."


def _cell(name: str) -> str:
    """A class name as one cell of a table."""
    return " ".join(name.split()).replace("|", r"\|")


def _limits(report: Mapping[str, Any]) -> Iterator[str]:
    evaluation = report["evaluation"]
    yield "- An image of none of the classes gets one of them all the same."
    if evaluation is None:
        return
    few = [each["name"] for each in evaluation["classes"] if each["support"] < FEW_IMAGES]
    if few:
        yield f"- Fewer than {FEW_IMAGES} test images, so that their numbers are rough: {', '.join(few)}."
    if len(report["test_reads"]) > 1:
        times = f"{len(report['test_reads'])} times"
        yield f"- The test set was read {times} for this run: choosing among models by it makes its value too high."
    if evaluation["accuracy"]["low"] <= evaluation["constant_accuracy"]:
        yield "- It is not clearly better than always giving the most frequent label."
