"""Chinese names of variants and claims, put together from a study's settings, so that a study is written in one language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from temporal_shortcuts.report.wording import endpoint_head, primary_of
from temporal_shortcuts.study.kinds import KINDS
from temporal_shortcuts.study.outputs import Resolved, shortcut_of, sweep_kinds


def label(resolved: Resolved, name: str) -> str:
    """A variant's name from what it changes, with its own name where two would be the same."""
    text = _described(resolved, name)
    same = [other for other in resolved["variants"] if other != name and _described(resolved, other) == text]
    return f"{text}（{name}）" if same else text


def _described(resolved: Resolved, name: str) -> str:
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
    text = f"{KINDS[shortcut['kind']].chinese or shortcut['kind']}，{onset}"
    if shortcut["kind"] in sweep_kinds(resolved):
        text += f"，强度 {shortcut['strength']:g}"
    if shortcut.get("stream", 1) != 1:
        text += f"，第 {shortcut['stream']} 组"
    every = [shortcut_of(resolved, name) or {} for name in resolved["variants"]]
    if len({other.get("accounting") for other in every if other.get("accounting")}) > 1:
        text += {"published": "，按原代码累计", "corrected": "，按定义取平均"}.get(shortcut.get("accounting"), "")
    return text


def claim(resolved: Resolved, row: Mapping[str, Any]) -> str:
    """A claim of claims.csv as a sentence, from its test, its variants and its endpoint."""
    about = f"（{endpoint_head(resolved, row['endpoint'], 'zh')}）" if row["endpoint"] != primary_of(resolved) else ""
    variant = f"「{label(resolved, row['variant'])}」"
    if row["test"] == "fails_to_converge":
        return f"{variant}不收敛{about}"
    than = "、".join(f"「{label(resolved, name)}」" for name in row["than"].split(", "))
    if row["test"] == "negligible":
        return f"{variant}与{than}的差别可忽略{about}"
    return variant + {"better": "优于", "best_of": "优于", "not_better": "不优于"}[row["test"]] + than + about
