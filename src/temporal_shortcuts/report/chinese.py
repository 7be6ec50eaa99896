"""Chinese names of variants, claims and scales, put together from a study's settings, so that a study is written in one language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from temporal_shortcuts.study.outputs import Resolved, shortcut_of, sweep_kinds

KINDS = {
    "batch_res": "batch_res",
    "epoch_res": "epoch_res",
    "shuffled": "打乱顺序的 batch_res（对照）",
    "noise": "同均值同方差的噪声（对照）",
    "one_bit": "空白对照（只翻转一个权重的最低位）",
}
VERDICTS = {"supported": "成立", "contradicted": "不成立", "undecided": "尚无定论"}
PUBLISHED = {"width": 64, "epochs": 50, "model": "resnet18"}
"""What the published protocol has, where a study's scale may differ."""


def label(resolved: Resolved, name: str) -> str:
    """A variant's name from what it changes."""
    settings, shortcut = resolved["variants"][name]["settings"], shortcut_of(resolved, name)
    benchmark = resolved["variants"][resolved["benchmark"]]["settings"]
    parts = [_shortcut(resolved, shortcut)] if shortcut else []
    if settings["learning_rate"] != benchmark["learning_rate"]:
        parts.append(f"学习率 {settings['learning_rate']:g}")
    elif not shortcut:
        parts.append("基准")
    if settings["schedule_epochs"] != benchmark["schedule_epochs"]:
        annealed = settings["schedule_epochs"] == settings["epochs"]
        parts.append("学习率退火到 0" if annealed else f"余弦周期 {settings['schedule_epochs']} 轮")
    if settings["model"] != benchmark["model"]:
        parts.append("原代码的网络" if settings["model"] == "resnet18_published" else settings["model"])
    said = ("learning_rate", "schedule_epochs", "model", "shortcut")
    parts += [f"{key} {settings[key]}" for key in settings if key not in said and settings[key] != benchmark[key]]
    return "，".join(parts)


def _shortcut(resolved: Resolved, shortcut: Mapping[str, Any]) -> str:
    onset = "从一开始" if shortcut["onset"] == 0 else f"{shortcut['onset']} 轮之后"
    text = f"{KINDS.get(shortcut['kind'], shortcut['kind'])}，{onset}"
    if shortcut["kind"] in sweep_kinds(resolved):
        text += f"，强度 {shortcut['strength']:g}"
    every = [shortcut_of(resolved, name) or {} for name in resolved["variants"]]
    if len({other.get("accounting") for other in every if other.get("accounting")}) > 1:
        text += {"published": "，按原代码累计", "corrected": "，按定义取平均"}.get(shortcut.get("accounting"), "")
    return text


def scale(resolved: Resolved) -> str:
    """How the study differs from the published protocol."""
    protocol, data = resolved["protocol"], resolved["data"]
    parts = [f"数据为 {data['name']}"]
    if data["images_per_class"]:
        parts.append(f"每类 {data['images_per_class']:,} 张训练图（原报告 5,000）")
    names = {"width": "网络宽度", "epochs": "训练轮数", "model": "网络"}
    parts += [
        f"{names[key]} {protocol[key]}（原报告 {value}）" for key, value in PUBLISHED.items() if protocol[key] != value
    ]
    if "CIFAR-10" not in data["name"]:
        parts.append("结果不能说明 CIFAR-10 上的情况")
    return "，".join(parts) if len(parts) > 1 else f"{parts[0]}，其余与原报告的设定相同"


def claim(resolved: Resolved, row: Mapping[str, Any]) -> str:
    """A claim of claims.csv as a sentence, from its test and its variants."""
    variant = f"「{label(resolved, row['variant'])}」"
    if row["test"] == "fails_to_converge":
        return f"{variant}不收敛"
    than = "、".join(f"「{label(resolved, name)}」" for name in row["than"].split(", "))
    return variant + {"better": "优于", "best_of": "优于", "not_better": "不优于"}[row["test"]] + than


def published(resolved: Resolved, percent: Callable[[float], str], row: Mapping[str, Any]) -> str:
    """What the report has for a claim: the accuracies of its variants, those that it gives."""
    names = [row["variant"], *(row["than"].split(", ") if isinstance(row["than"], str) else [])]
    values = [resolved["variants"][name]["published"] for name in names]
    return " 对 ".join(percent(value) for value in values if value is not None) or "–"
