"""What a study's settings are called in both languages: its scale, its endpoints, its published values and its verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from temporal_shortcuts.analysis.statistics import SMOOTHING
from temporal_shortcuts.report.numbers import percent
from temporal_shortcuts.study import Study, published
from temporal_shortcuts.study.image_sets import called, image_set
from temporal_shortcuts.study.labels import setting

VERDICTS = {
    "supported": {"en": "supported", "zh": "成立"},
    "contradicted": {"en": "contradicted", "zh": "不成立"},
    "negligible": {"en": "negligible", "zh": "差别可忽略"},
    "undecided": {"en": "undecided", "zh": "尚无定论"},
}
_CHINESE = {
    "model": "网络",
    "width": "网络宽度",
    "epochs": "训练轮数",
    "batch_size": "批量大小",
    "learning_rate": "学习率",
    "momentum": "动量",
    "weight_decay": "权重衰减",
    "schedule_epochs": "学习率周期（轮）",
    "crop_padding": "裁剪填充",
    "flip": "翻转",
}


# -- scale -------------------------------------------------------------------------------------------------------------


def scale(study: Study, language: str = "en") -> str:
    """How the study differs from the report's protocol: the data, then each setting that is not the report's."""
    found = [one for one in published.differences(study) if one.key != "images"]
    parts = [called(study.data), *(_difference(one, language) for one in found)]
    if not image_set(study.data).is_cifar10:
        return _joined(parts, language) + (
            "; no result about CIFAR-10" if language == "en" else "；不是 CIFAR-10 的结果"
        )
    if len(parts) == 1:
        return parts[0] + (", all settings as in the report" if language == "en" else "，全部设定与原报告相同")
    return _joined(parts, language)


def _joined(parts: list[str], language: str) -> str:
    return (", " if language == "en" else "，").join(parts)


def _difference(one: published.Difference, language: str) -> str:
    """A setting that is not the report's, with the report's, if that has one of the kind."""
    if one.key == "images_per_class":
        text = f"{one.ours:,} training images of each class" if language == "en" else f"每类 {one.ours:,} 张训练图像"
    elif one.key == "validation_per_class":
        text = (
            f"evaluated on {one.ours:,} validation images of each class"
            if language == "en"
            else f"在每类 {one.ours:,} 张验证图像上评估"
        )
    elif one.key == "normalisation":
        text = f"normalised by {one.ours}" if language == "en" else "按训练图像自身的均值与标准差归一化"
    else:
        text = (
            setting(one.key, one.ours) if language == "en" else f"{_CHINESE.get(one.key, one.key)} {_value(one.ours)}"
        )
    if one.theirs is None or one.key == "normalisation":
        return text
    return text + (f" (report: {_value(one.theirs)})" if language == "en" else f"（原报告 {_value(one.theirs)}）")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def images(study: Study, language: str = "en") -> str:
    """Which images accuracies are of: `test`, or `validation` for a study that leaves the test images alone."""
    return {"test": ("test", "测试"), "validation": ("validation", "验证")}[study.evaluated][language == "zh"]


# -- endpoints ---------------------------------------------------------------------------------------------------------


def number_name(key: str, language: str = "en") -> str:
    """What a number that a study varies is called (`varied.KEYS`)."""
    names = {
        "learning_rate": ("learning rate", "学习率"),
        "batch_size": ("batch size", "批量大小"),
        "momentum": ("momentum", "动量"),
        "weight_decay": ("weight decay", "权重衰减"),
        "schedule_epochs": ("epochs of the schedule", "学习率周期（轮）"),
        "label_smoothing": ("label smoothing", "标签平滑"),
        "width": ("width", "网络宽度"),
        "crop_padding": ("padding of crops", "裁剪填充"),
        "strength": ("strength", "强度"),
        "onset": ("onset", "启用轮数"),
    }
    return names.get(key, (key, key))[language == "zh"]


def averaged_epochs(study: Study) -> int:
    """How many epochs the endpoint `last5` is the mean of: five, or all if there are fewer."""
    return min(SMOOTHING, study.epochs)


def endpoint(study: Study, name: str, language: str = "en") -> str:
    """What an endpoint measures, as a phrase in a sentence."""
    n, since, at = averaged_epochs(study), study.protocol.average_from, images(study, "zh")
    if name == "last5":
        if n == 1:
            return "the last epoch" if language == "en" else "最后一轮"
        return f"the mean of the last {n} epochs" if language == "en" else f"最后 {n} 轮平均"
    weights = (
        f"the weights averaged over epochs {since} to {study.epochs}",
        f"第 {since} 至 {study.epochs} 轮权重的平均",
    )
    if since == study.epochs:
        weights = "the weights of the last epoch", "最后一轮的权重"
    phrases = {
        "final": ("the last epoch", "最后一轮"),
        "best": ("the best epoch", "最佳轮"),
        "averaged": weights,
        "re_estimated": (
            f"{weights[0]}, with batch-norm statistics re-estimated without the carry",
            f"{weights[1]}，不用携带量重新估计批归一化统计量",
        ),
        "last_re_estimated": (
            "the last weights, with batch-norm statistics re-estimated without the carry",
            "最后的权重，不用携带量重新估计批归一化统计量",
        ),
        "with_carry": ("the last epoch, evaluated with the carry", f"最后一轮，{at}时保留携带量"),
        "averaged_with_carry": (f"{weights[0]}, evaluated with the carry", f"{weights[1]}，{at}时保留携带量"),
        "mismatch": (
            f"{weights[0]}, as trained less with recalibrated batch-norm statistics",
            f"{weights[1]}，训练时的统计量与重新估计的统计量之差",
        ),
    }
    return phrases.get(name, (name, name))[language == "zh"]


def endpoint_head(study: Study, name: str, language: str = "en") -> str:
    """An endpoint as the head of a table's column."""
    heads = {
        "final": ("last epoch", "最后一轮"),
        "best": ("best epoch", "最佳轮"),
        "averaged": ("averaged weights", "平均权重"),
        "re_estimated": ("averaged weights, statistics re-estimated", "平均权重，重新估计统计量"),
        "last_re_estimated": ("last weights, statistics re-estimated", "最后权重，重新估计统计量"),
        "with_carry": ("last epoch, with carry", "最后一轮，保留携带量"),
        "averaged_with_carry": ("averaged weights, with carry", "平均权重，保留携带量"),
        "mismatch": ("as trained less recalibrated", "两种统计量之差"),
    }
    if name == "last5":
        n = averaged_epochs(study)
        return (
            (f"last {n} epochs", f"最后 {n} 轮平均")[language == "zh"]
            if n > 1
            else endpoint_head(study, "final", language)
        )
    return heads.get(name, (name, name))[language == "zh"]


# -- published values --------------------------------------------------------------------------------------------------


def published_cell(study: Study, name: str, language: str = "en") -> str:
    """A variant's published accuracy, with the setting that it was published for where the variant has another; else nothing."""
    value = study.variants[name].published
    return "" if value is None else percent(value) + _ran_elsewhere(study, [name], language)


def published_claim(study: Study, claim: Mapping[str, Any], language: str = "en") -> str:
    """What the report has for a claim that it makes: in the words of the study's file, or from the accuracies of the variants."""
    names = [claim["variant"], *filter(None, claim["than"].split(", "))]
    cells = [published_cell(study, name, language) for name in names]
    if not claim["published"] or language == "en" or not all(cells):
        return claim["published"] and claim["published"] + _ran_elsewhere(study, names, language)
    first, *others = cells
    return f"{first} 对 {'、'.join(others)}" if others else first


def _ran_elsewhere(study: Study, names: list[str], language: str) -> str:
    """In brackets, what the report ran where it was something else than these variants; else nothing."""
    runs = [run for name in names if (run := published.run_elsewhere(study, name))]
    said = [_ran(run, language) for run in runs]
    if not said:
        return ""
    return f" ({', '.join(said)})" if language == "en" else f"（{'、'.join(said)}）"


def _ran(run: published.Run, language: str) -> str:
    if run.kind is None:
        return f"learning rate {run.learning_rate:g}" if language == "en" else f"学习率 {run.learning_rate:g}"
    if run.onset == 0:
        return f"{run.kind} from the start" if language == "en" else f"{run.kind}，从一开始"
    return f"{run.kind} after {run.onset} epochs" if language == "en" else f"{run.kind}，{run.onset} 轮之后"
