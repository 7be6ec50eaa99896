"""Chinese names of variants and claims, put together from a study's settings, so that a study is written in one language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from temporal_shortcuts.report.wording import endpoint_head, number_name
from temporal_shortcuts.study import Study
from temporal_shortcuts.study.declared import Shortcut
from temporal_shortcuts.study.kinds import KINDS
from temporal_shortcuts.study.outputs import sweep_kinds


def label(study: Study, name: str) -> str:
    """A variant's name from what it changes, with its own name where two would be the same."""
    text = _described(study, name)
    same = [other for other in study.variants if other != name and _described(study, other) == text]
    return f"{text}（{name}）" if same else text


def _described(study: Study, name: str) -> str:
    variant, shortcut = study.variants[name], study.variants[name].shortcut
    settings, benchmark = variant.settings, study.variants[study.benchmark].settings
    parts = [_shortcut(study, shortcut)] if shortcut else []
    if settings.learning_rate != benchmark.learning_rate:
        parts.append(f"学习率 {settings.learning_rate:g}")
    elif not shortcut:
        parts.append("基准")
    if settings.schedule_epochs != benchmark.schedule_epochs:
        annealed = settings.schedule_epochs == settings.epochs
        parts.append("学习率退火到 0" if annealed else f"余弦周期 {settings.schedule_epochs} 轮")
    if settings.model != benchmark.model:
        parts.append("原代码的网络" if settings.model == "resnet18_published" else settings.model)
    said, usual = ("learning_rate", "schedule_epochs", "model"), benchmark.model_dump()
    parts += [
        f"{number_name(key, 'zh')} {value}"
        for key, value in settings.model_dump().items()
        if key not in said and value != usual[key]
    ]
    return "，".join(parts)


def _shortcut(study: Study, shortcut: Shortcut) -> str:
    onset = "从一开始" if shortcut.onset == 0 else f"{shortcut.onset} 轮之后"
    text = f"{KINDS[shortcut.kind].chinese or shortcut.kind}，{onset}"
    if shortcut.kind in sweep_kinds(study):
        text += f"，强度 {shortcut.strength:g}"
    if shortcut.stream != 1:
        text += f"，第 {shortcut.stream} 组"
    if len({variant.accounting for variant in study.variants.values()} - {None}) > 1:
        text += {"published": "，按原代码累计", "corrected": "，按定义取平均"}.get(shortcut.accounting or "", "")
    return text


def claim(study: Study, row: Mapping[str, Any]) -> str:
    """A claim of claims.csv as a sentence, from its test, its variants and its endpoint."""
    about = f"（{endpoint_head(study, row['endpoint'], 'zh')}）" if row["endpoint"] != study.endpoint else ""
    variant = f"「{label(study, row['variant'])}」"
    if row["test"] == "fails_to_converge":
        return f"{variant}不收敛{about}"
    than = "、".join(f"「{label(study, name)}」" for name in row["than"].split(", "))
    if row["test"] == "negligible":
        return f"{variant}与{than}的差别可忽略{about}"
    return variant + {"better": "优于", "best_of": "优于", "not_better": "不优于"}[row["test"]] + than + about
