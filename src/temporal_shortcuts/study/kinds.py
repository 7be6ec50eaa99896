"""The kinds of temporal shortcut, as far as a study and its texts must know them: one line each.

What they compute is in training/shortcuts.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Kind:
    """What a kind needs and when it can act."""

    role: Literal["shortcut", "control", "null_arm"] = "shortcut"
    """A control has a carry without its information; a null arm has none, and differs from its reference by chance alone."""
    strength: bool = True
    first_epoch: int = 0
    """The first epoch in which it can act: an earlier onset is the same as this one."""
    full_batches: int = 0
    """As many full batches must an epoch have for the shortcut to act at all."""
    accounting: bool = False
    """Whether it has a mean that the published code took in another way."""
    stream: bool = False
    """Whether it draws order and augmentation from another stream."""
    epochs: int = 1
    """As many epochs must there be from its onset on for it to act at all."""
    fades: bool = False
    """Whether its strength falls until the last epoch, so that what it does depends on a run's length."""
    colour: str = "#56B4E9"
    """In figures. Candidates share one: a panel or a label tells them apart."""
    label: str | None = None
    """What a label calls it; its name if not given."""
    chinese: str | None = None
    """What Chinese texts call it; its name if not given."""


KINDS = {
    "batch_res": Kind(full_batches=2, colour="#0072B2"),
    "epoch_res": Kind(first_epoch=1, full_batches=1, accounting=True, colour="#D55E00"),
    "mixed": Kind(full_batches=2, chinese="凸组合（mixed）"),
    "centred": Kind(full_batches=2, chinese="去掉通道均值（centred）"),
    "matched": Kind(full_batches=2, chinese="匹配当前批次的均值与方差（matched）"),
    "fading": Kind(full_batches=2, epochs=2, fades=True, chinese="强度渐降到 0（fading）"),
    "same_class": Kind(full_batches=2, chinese="同类图像（same_class）"),
    "one_block": Kind(full_batches=2, chinese="每批随机一个块（one_block）"),
    "learnt": Kind(strength=False, full_batches=2, chinese="学习得到的强度（learnt）"),
    "same_image": Kind(full_batches=1, epochs=2, chinese="同一图像（same_image）"),
    "shuffled": Kind(
        "control", full_batches=2, colour="#CC79A7", label="shuffled carry", chinese="打乱顺序的 batch_res（对照）"
    ),
    "noise": Kind("control", full_batches=2, colour="#4A2C6B", chinese="同均值同方差的噪声（对照）"),
    "one_bit": Kind("null_arm", strength=False, label="one bit flipped", chinese="空白对照（只翻转一个权重的最低位）"),
    "fresh_order": Kind(
        "null_arm",
        strength=False,
        stream=True,
        label="another order of the images",
        chinese="空白对照（换一组数据顺序与增强）",
    ),
}
