"""What results/ladder/ holds beside its tables: the figure, and in both languages the README and the blocks for the repository's."""

from __future__ import annotations

import math
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from temporal_shortcuts.analysis.ladder import LEAST_RUNGS
from temporal_shortcuts.analysis.statistics import LEVEL
from temporal_shortcuts.report import texts, wording
from temporal_shortcuts.report.figures import ladder as figures
from temporal_shortcuts.report.figures.style import save, style
from temporal_shortcuts.study.image_sets import image_set
from temporal_shortcuts.study.ladder import BLOCKS, Ladder, Rung
from temporal_shortcuts.study.published import EFFECTS, PROTOCOL, Effect

SETTINGS = {"width": "宽度", "images": "训练图像数目", "epochs": "轮数", "epochs after the onset": "捷径开始后的轮数"}
"""What rungs can differ in, and its Chinese name."""


def write(ladder: Ladder, table: pd.DataFrame, trend: pd.DataFrame, steps: pd.DataFrame, folder: Path) -> None:
    """Write effect.svg, the READMEs and the blocks/ beside the tables, which they are made from."""
    published = effects_of(ladder)
    with style():
        save(figures.effect(table, published), folder / "effect.svg", "Effects over the rungs of the ladder")
    blocks = {name: f"ladder_{name}" for name in BLOCKS}
    texts.write_pages(folder, "ladder", "ladder", blocks, partial(_context, ladder, table, trend, steps, published))


def effects_of(ladder: Ladder) -> list[Effect]:
    """The report's effects of the shortcuts that the ladder has, if it is about the report's images."""
    if not all(image_set(rung.study.data).is_cifar10 for rung in ladder.rungs):
        return []
    shortcuts = [variant.shortcut for rung in ladder.rungs for variant in rung.variants]
    ours = {(one.kind, one.onset, one.strength) for one in shortcuts if one is not None}
    return [effect for effect in EFFECTS if (effect.kind, effect.onset, effect.strength) in ours]


def _endpoint(ladder: Ladder, language: str) -> str:
    """As the studies say it; where they do not say the same, as they have it at the head of a column."""
    said = {wording.endpoint(rung.study, ladder.endpoint, language) for rung in ladder.rungs}
    return said.pop() if len(said) == 1 else wording.endpoint_head(ladder.rungs[0].study, ladder.endpoint, language)


def _after_onset(rung: Rung) -> str:
    """How many epochs the rung's variants have after their onset."""
    return ", ".join(
        map(str, sorted({rung.study.epochs - one.onset for one in rung.variants if one.onset is not None}))
    )


def _tested(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of tests with the p that decides, which is Holm's but for a null arm, and whether the test could be done."""
    return [
        row | {"known": math.isfinite(row["p"]), "decides": row["p" if row["kind"] == "null_arm" else "p_holm"]}
        for row in rows.to_dict("records")
    ]


def _differ(ladder: Ladder) -> list[str]:
    """What the rungs differ in, of what the table shows."""
    shown = {
        "width": [rung.reference.settings.width for rung in ladder.rungs],
        "images": [rung.images for rung in ladder.rungs],
        "epochs": [rung.study.epochs for rung in ladder.rungs],
        "epochs after the onset": [_after_onset(rung) for rung in ladder.rungs],
    }
    return [name for name, values in shown.items() if len(set(values)) > 1]


def _context(
    ladder: Ladder,
    table: pd.DataFrame,
    trend: pd.DataFrame,
    steps: pd.DataFrame,
    published: list[Effect],
    language: str,
    prefix: str,
) -> dict[str, Any]:
    done = set(zip(table["study"], table["benchmark"], strict=True))
    rungs = []
    for rung in ladder.rungs:
        name = rung.study.name, rung.reference.name
        own = table[(table["study"] == name[0]) & (table["benchmark"] == name[1])].to_dict("records")
        about = own[0] if name in done else None
        rungs.append({"rung": rung, "after": _after_onset(rung), "rows": own if about else [], "about": about})
    finished = [one for one in rungs if one["about"]]
    return {
        "language": language,
        "prefix": prefix,
        "names": {"null_arm": {"en": "null arm", "zh": "空白对照"}[language]},
        "ladder": ladder,
        "rungs": rungs,
        "finished": finished,
        "highest": max(finished, key=lambda one: one["about"]["accuracy"]),
        "kinds": list(dict.fromkeys(variant.kind for rung in ladder.rungs for variant in rung.variants)),
        "endpoint": _endpoint(ladder, language),
        "differ": _differ(ladder),
        "settings": {name: {"en": name, "zh": chinese}[language] for name, chinese in SETTINGS.items()},
        "steps": [_tested(own) for _, own in steps.groupby(["smaller", "larger"], sort=False)],
        "trends": _tested(trend),
        "published": [asdict(one) | {"after": PROTOCOL.epochs - one.onset} for one in published],
        "sides": [
            {"kind": kind, "below": int((own["high"] < 0).sum()), "above": int((own["low"] > 0).sum())}
            for kind, own in table.groupby("kind", sort=False)
            if kind != "null_arm"
        ],
        "least": LEAST_RUNGS,
        "level": LEVEL,
    }
