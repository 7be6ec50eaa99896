"""The network against a plain ResNet-18, written here from the table of He et al. (2016) without sharing any code."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from temporal_shortcuts.networks import resnet
from temporal_shortcuts.training import numerics
from temporal_shortcuts.training.trainer import folded

ODD_WIDTHS = [1, 2, 3, 4, 5, 6, 12, 20]
WIDTHS = [*ODD_WIDTHS, 8, 16]


class Plain(nn.Module):
    """conv1; conv2_x to conv5_x of two blocks each [3x3, c; 3x3, c], c = width, 2, 4 and 8 times; average pool; fc.

    `published` adds what the published code does otherwise: a projection in the second blocks of conv3_x to conv5_x, and the
    second block of conv5_x convolves first with the last convolution of the block before it.
    """

    def __init__(self, width: int, classes: int, published: bool):
        super().__init__()
        self.published = published
        self.layers = nn.ModuleDict(
            {"conv1": nn.Conv2d(3, width, 3, padding=1, bias=False), "bn1": nn.BatchNorm2d(width)}
        )
        before = width
        for stage in (2, 3, 4, 5):
            channels = width * 2 ** (stage - 2)
            for block in (1, 2):
                name, stride = f"conv{stage}_{block}", 2 if block == 1 and stage > 2 else 1
                if not (published and name == "conv5_2"):
                    self.layers[f"{name}a"] = nn.Conv2d(before, channels, 3, stride, 1, bias=False)
                self.layers[f"{name}a_bn"] = nn.BatchNorm2d(channels)
                self.layers[f"{name}b"] = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
                self.layers[f"{name}b_bn"] = nn.BatchNorm2d(channels)
                if stage > 2 and (block == 1 or published):
                    self.layers[f"{name}p"] = nn.Conv2d(before, channels, 1, stride, bias=False)
                    self.layers[f"{name}p_bn"] = nn.BatchNorm2d(channels)
                before = channels
        self.layers["fc"] = nn.Linear(8 * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        on = self.layers
        x = torch.relu(on["bn1"](on["conv1"](images)))
        for name in [f"conv{stage}_{block}" for stage in (2, 3, 4, 5) for block in (1, 2)]:
            first = on[f"{name}a"] if f"{name}a" in on else on["conv5_1b"]
            y = on[f"{name}b_bn"](on[f"{name}b"](torch.relu(on[f"{name}a_bn"](first(x)))))
            x = torch.relu(y + (on[f"{name}p_bn"](on[f"{name}p"](x)) if f"{name}p" in on else x))
        return on["fc"](F.adaptive_avg_pool2d(x, 1).flatten(1))


def pair(width: int, published: bool = False, classes: int = 10) -> tuple[resnet.ResNet18, Plain]:
    """Ours and a plain network with its weights, both in channels_last, with norms that are not the identity."""
    ours = resnet.build(
        "resnet18_published" if published else "resnet18", width, classes, numerics.generator(0, "test", width)
    )
    source = numerics.generator(1, "test", width)
    with torch.no_grad():
        for norm in (module for module in ours.modules() if isinstance(module, nn.BatchNorm2d)):
            for tensor, least in (
                (norm.weight, 0.5),
                (norm.bias, -0.2),
                (norm.running_mean, -0.2),
                (norm.running_var, 0.5),
            ):
                tensor.copy_(torch.rand(tensor.shape, generator=source) + least)
    plain = Plain(width, classes, published)
    with torch.no_grad():
        for mine, theirs in zip(ours.state_dict().values(), plain.state_dict().values(), strict=True):
            assert mine.shape == theirs.shape
            theirs.copy_(mine)
    return ours.to(memory_format=torch.channels_last), plain.to(memory_format=torch.channels_last)


def some_images(n: int = 6) -> Tensor:
    return torch.randn(n, 3, 32, 32, generator=numerics.generator(0, "images")).to(memory_format=torch.channels_last)


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("width", [8, 16])
def test_logits_equal_those_of_a_plain_network(width: int, published: bool) -> None:
    ours, plain = pair(width, published)
    for mode in (True, False):
        assert torch.equal(ours.train(mode)(some_images()), plain.train(mode)(some_images()))


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
def test_logits_gradients_and_buffers_agree_at_any_width(width: int, published: bool) -> None:
    ours, plain = pair(width, published, classes=3)
    for network in (ours, plain):
        F.cross_entropy(network.double()(some_images().double()), torch.tensor([0, 1, 2, 0, 1, 2])).backward()
    mine, theirs = (dict(network.named_parameters()) for network in (ours, plain))
    for (name, parameter), other in zip(mine.items(), theirs.values(), strict=True):
        torch.testing.assert_close(parameter.grad, other.grad, rtol=1e-8, atol=1e-10, msg=name)
    for buffer, other in zip(ours.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(buffer, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("width", WIDTHS)
def test_single_precision_is_right_at_any_width(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """oneDNN's kernels for AVX2 are wrong for some odd channels; the network goes around them.

    With a smooth activation: a ReLU's input that rounds to the other side of 0 would change a gradient by a part of one image.
    """
    monkeypatch.setattr(F, "relu", lambda x, inplace=False: F.softplus(x))
    monkeypatch.setattr(torch, "relu", F.softplus)
    ours, plain = pair(width)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    losses = [
        F.cross_entropy(ours(some_images()), labels),
        F.cross_entropy(plain.double()(some_images().double()), labels),
    ]
    for loss in losses:
        loss.backward()
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-5)
    for (name, parameter), other in zip(ours.named_parameters(), plain.parameters(), strict=True):
        assert (parameter.grad - other.grad).norm() < 0.05 * other.grad.norm(), name


def test_width_64_has_the_parameters_of_resnet18() -> None:
    with torch.device("meta"):
        network, published = resnet.ResNet18(), resnet.ResNet18(published=True)
    assert count(network) == 11_173_962
    projections = sum(c * c + 2 * c for c in (128, 256, 512))
    assert count(published) == 11_173_962 + projections - 9 * 512 * 512


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_names_of_the_published_networks_parameters() -> None:
    ours, published = (set(dict(resnet.ResNet18(2, published=flag).named_parameters())) for flag in (False, True))
    assert ours - published == {"blocks.7.conv1.weight"}
    second = [f"blocks.{place}.shortcut" for place in (3, 5, 7)]
    assert published - ours == {f"{name}.{part}" for name in second for part in ("0.weight", "1.weight", "1.bias")}


def test_the_borrowed_convolution_is_one_with_its_owners() -> None:
    """Its weights are trained by both uses and counted once."""
    network = resnet.build("resnet18_published", 2, 10, numerics.generator(0, "test"))
    assert network.blocks[7].borrowed[0] is network.blocks[6].conv2
    assert (
        len(set(map(id, network.parameters()))) == len(network.state_dict()) - 3 * 23
    )  # 23 norms with three buffers each


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
def test_folded_evaluation_is_the_plain_one(width: int, published: bool) -> None:
    network, _ = pair(width, published)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with torch.no_grad():
        quick = folded(network.train())(some_images())
        plain = network.eval()(some_images())
    torch.testing.assert_close(quick, plain, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded(network).modules())


def test_the_hook_comes_before_each_blocks_last_relu() -> None:
    network, _ = pair(4)
    seen: list[tuple[int, tuple[int, ...]]] = []

    def look(place: int, x: Tensor) -> Tensor:
        seen.append((place, tuple(x.shape)))
        assert x.min() < 0
        return x

    plain = network(some_images())
    network, _ = pair(4)
    assert torch.equal(network(some_images(), look), plain)
    sizes = [(4, 32), (4, 32), (8, 16), (8, 16), (16, 8), (16, 8), (32, 4), (32, 4)]
    assert seen == [(place, (6, c, size, size)) for place, (c, size) in enumerate(sizes)]


@pytest.mark.parametrize(
    ("hook", "logits"),
    [
        (lambda place, x: torch.full_like(x, -1.0) if place == 7 else x, lambda linear: linear.bias),
        (lambda place, x: torch.ones_like(x) if place == 7 else x, lambda linear: linear.weight.sum(1) + linear.bias),
    ],
)
def test_what_the_hook_returns_is_used(hook: resnet.Hook, logits: Callable[[nn.Linear], Tensor]) -> None:
    network, _ = pair(4)
    torch.testing.assert_close(network(some_images(), hook), logits(network.linear).expand(6, 10))


def test_initial_weights_come_from_the_given_generator_alone() -> None:
    one, same, other = (resnet.build("resnet18", 4, 10, numerics.generator(seed, "init")) for seed in (0, 0, 1))
    torch.manual_seed(5)
    again = resnet.build("resnet18", 4, 10, numerics.generator(0, "init"))
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, same.state_dict()[name])
        assert torch.equal(tensor, again.state_dict()[name])
    assert not torch.equal(one.linear.weight, other.linear.weight)


def test_initial_weights_have_pytorchs_usual_distribution() -> None:
    """Uniform within 1 / sqrt(inputs of a unit)."""
    network = resnet.build("resnet18", 8, 10, numerics.generator(0, "init"))
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = module.weight[0].numel() ** -0.5
            assert 0.9 * bound < float(module.weight.abs().max()) <= bound
            assert abs(float(module.weight.mean())) < 0.2 * bound
    assert float(network.linear.bias.abs().max()) <= 64**-0.5
