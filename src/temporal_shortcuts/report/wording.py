"""What a study's settings are called: its scale, its endpoints, the numbers that it varies, its figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from temporal_shortcuts.analysis.statistics import SMOOTHING
from temporal_shortcuts.analysis.varied import SWING
from temporal_shortcuts.report.numbers import percent
from temporal_shortcuts.study import Study, published
from temporal_shortcuts.study.image_sets import called, image_set
from temporal_shortcuts.study.labels import setting
from temporal_shortcuts.study.outputs import follows_average

NAMES = {"schedule_epochs": "epochs of the schedule", "crop_padding": "padding of crops"}
"""Names of numbers that are not their keys."""


# -- scale -------------------------------------------------------------------------------------------------------------


def scale(study: Study) -> str:
    """How the study differs from the report's protocol: the data, then each setting that is not the report's."""
    found = [one for one in published.differences(study) if one.key != "images"]
    said = ", ".join([called(study.data), *map(_difference, found)])
    if not image_set(study.data).is_cifar10:
        return f"{said}; no result about CIFAR-10"
    return said if found else f"{said}, all settings as in the report"


def _difference(one: published.Difference) -> str:
    """A setting that is not the report's, with the report's, if that has one of the kind."""
    match one.key:
        case "images_per_class":
            text = f"{one.ours:,} training images of each class"
        case "validation_per_class":
            text = f"evaluated on {one.ours:,} validation images of each class"
        case "normalisation":
            return f"normalised by {one.ours}"
        case _:
            text = setting(one.key, one.ours)
    return text if one.theirs is None else f"{text} (report: {_value(one.theirs)})"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def number_name(key: str) -> str:
    """What a setting is called, such as one that a study varies (`varied.KEYS`)."""
    return NAMES.get(key, key.replace("_", " "))


# -- endpoints ---------------------------------------------------------------------------------------------------------


def averaged_epochs(study: Study) -> int:
    """How many epochs the endpoint `last5` is the mean of: five, or all if there are fewer."""
    return min(SMOOTHING, study.epochs)


def swing_epochs(study: Study) -> int:
    """Over how many epochs the swing is taken: ten, or all if there are fewer."""
    return min(SWING, study.epochs)


def endpoint(study: Study, name: str) -> str:
    """What an endpoint measures, as a phrase in a sentence."""
    return _endpoint(study, name)[1]


def endpoint_head(study: Study, name: str) -> str:
    """An endpoint as the head of a table's column."""
    return _endpoint(study, name)[0]


def _endpoint(study: Study, name: str) -> tuple[str, str]:
    since, last = study.protocol.average_from, f"last {averaged_epochs(study)} epochs"
    weights = f"the averaged weights of epochs {since} to {study.epochs}"
    if since == study.epochs:
        weights = "the weights of the last epoch"
    recalibrated = "with recalibrated batch-norm statistics"
    words = {
        "final": ("last epoch", "the last epoch"),
        "best": ("best epoch", "the best epoch"),
        "last5": (last, f"the mean of the {last}") if study.epochs > 1 else ("last epoch", "the last epoch"),
        "averaged": ("averaged weights", weights),
        "re_estimated": ("averaged weights, recalibrated", f"{weights}, {recalibrated}"),
        "last_re_estimated": ("last weights, recalibrated", f"the last weights, {recalibrated}"),
        "with_carry": ("last epoch, with carry", "the last epoch, evaluated with the carry"),
        "averaged_with_carry": ("averaged weights, with carry", f"{weights}, evaluated with the carry"),
        "mismatch": ("as trained less recalibrated", f"{weights}, as trained less {recalibrated}"),
    }
    return words.get(name, (name, name))


# -- figures -----------------------------------------------------------------------------------------------------------


def caption(study: Study, figure: str) -> str:
    """One line that says what a figure shows."""
    images, ours = study.evaluated, endpoint(study, study.endpoint)
    band = f"; band: the margin of ±{study.margin:.2f} points" if study.margin else ""
    averaged = ", averaged weights" if follows_average(study) else ""
    paired, accuracy = f"Paired difference in {images} accuracy from the", f"{images.capitalize()} accuracy"
    captions = {
        "forest.svg": f"{paired} reference ({ours}): mean, 95 % interval and each pair{band}.",
        "sweep.svg": f"{paired} baseline ({ours}) over onset and strength; hatched cells are not significant.",
        "carry.svg": f"Accuracy over epochs: training, {images}, and {images} with the carry left on.",
        "final_accuracy.svg": f"{accuracy} of each variant ({ours}): each seed, mean and 95 % interval.",
        "learning_curves.svg": f"{accuracy} over epochs: mean of the seeds, and from the lowest to the highest.",
        "late_differences.svg": f"Paired difference from the reference at each epoch after the onset{averaged}.",
    }
    varied = figure.removesuffix("s.svg")
    return captions.get(figure, f"The {number_name(varied)}: accuracy, speed, steadiness, and the gap to training.")


# -- published values --------------------------------------------------------------------------------------------------


def published_cell(study: Study, name: str) -> str:
    """A variant's published accuracy, with the setting that it was published for where the variant has another; else nothing."""
    value = study.variants[name].published
    return "" if value is None else percent(value) + _ran_elsewhere(study, [name])


def published_claim(study: Study, claim: Mapping[str, Any]) -> str:
    """What was published on a claim, in the words of the study's file, with the setting where the variant has another."""
    names = [claim["variant"], *filter(None, claim["than"].split(", "))]
    return claim["published"] and claim["published"] + _ran_elsewhere(study, names)


def _ran_elsewhere(study: Study, names: list[str]) -> str:
    """In brackets, what the report ran where it was something else than these variants; else nothing."""
    said = [_ran(run) for name in names if (run := published.run_elsewhere(study, name))]
    return f" ({', '.join(said)})" if said else ""


def _ran(run: published.Run) -> str:
    if run.kind is None:
        return f"learning rate {run.learning_rate:g}"
    return f"{run.kind} from the start" if run.onset == 0 else f"{run.kind} after {run.onset} epochs"
