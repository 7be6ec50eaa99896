"""The networks against others at equal weights: torchvision's, and those written here from the papers without sharing any code."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from temporal_shortcuts import networks
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.networks.parts.network import Hook, Network
from temporal_shortcuts.training import numerics

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


def network_of(model: str, width: int, classes: int = 10) -> Network:
    """A network in channels_last, with norms that are not the identity."""
    network = networks.build(model, width, classes, numerics.generator(0, "test", width))
    source = numerics.generator(1, "test", width)
    with torch.no_grad():
        for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
            for tensor, least in (
                (norm.weight, 0.5),
                (norm.bias, -0.2),
                (norm.running_mean, -0.2),
                (norm.running_var, 0.5),
            ):
                tensor.copy_(torch.rand(tensor.shape, generator=source) + least)
    return network.to(memory_format=torch.channels_last)


def with_weights_of(ours: nn.Module, theirs: nn.Module) -> nn.Module:
    """`theirs` with the weights and buffers of `ours`, matched by their order."""
    with torch.no_grad():
        for mine, other in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
            assert mine.shape == other.shape
            other.copy_(mine)
    return theirs.to(memory_format=torch.channels_last)


def pair(width: int, published: bool = False, classes: int = 10) -> tuple[Network, nn.Module]:
    ours = network_of("resnet18_published" if published else "resnet18", width, classes)
    return ours, with_weights_of(ours, Plain(width, classes, published))


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


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


PARAMETERS = {
    ("resnet18", 64): 11_173_962,
    ("resnet18_published", 64): 11_173_962 + sum(c * c + 2 * c for c in (128, 256, 512)) - 9 * 512 * 512,
    ("resnet20", 16): 269_722,
    ("resnet56", 16): 853_018,
    ("plain20", 16): 269_722,
    ("preact_resnet18", 64): 11_171_146 + 2 * 512,  # as often published without the paper's last batch norm, and that
}


@pytest.mark.parametrize(("model", "width"), PARAMETERS)
def test_parameters_are_as_many_as_published(model: str, width: int) -> None:
    assert count(networks.build(model, width, 10, torch.Generator())) == PARAMETERS[model, width]


def test_every_network_is_counted() -> None:
    assert {model for model, _ in PARAMETERS} == set(networks.names())


def test_names_of_the_published_networks_parameters() -> None:
    ours, published = (
        set(dict(network_of(model, 2).named_parameters())) for model in ("resnet18", "resnet18_published")
    )
    assert ours - published == {"blocks.7.conv1.weight"}
    second = [f"blocks.{place}.shortcut" for place in (3, 5, 7)]
    assert published - ours == {f"{name}.{part}" for name in second for part in ("0.weight", "1.weight", "1.bias")}


def test_the_borrowed_convolution_is_one_with_its_owners() -> None:
    """Its weights are trained by both uses and counted once."""
    network: Any = network_of("resnet18_published", 2)
    assert network.blocks[7].borrowed[0] is network.blocks[6].conv2
    assert (
        len(set(map(id, network.parameters()))) == len(network.state_dict()) - 3 * 23
    )  # 23 norms with three buffers each


# the others, from the papers


def torchvision_resnet18(width: int, classes: int) -> nn.Module:
    """torchvision's, with a 3x3 stem of stride 1 and no pooling at the start, as on CIFAR-10."""
    network = torchvision.models.resnet18(num_classes=classes)
    network.conv1, network.maxpool = nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.Identity()
    return network


def by_table(layers: dict[str, Tensor], x: Tensor, blocks: int, shortcuts: bool) -> Tensor:
    """He et al. (2016), section 4.2: 6n + 2 layers, identity shortcuts, zeros for new channels (option A)."""
    weights = iter(layers.values())

    def conv_norm(x: Tensor, stride: int = 1) -> Tensor:
        kernel, gamma, beta, mean, variance, _ = (next(weights) for _ in range(6))
        x = F.conv2d(x, kernel, stride=stride, padding=1)
        shape = (1, -1, 1, 1)
        return (x - mean.view(shape)) * (gamma / (variance + 1e-5).sqrt()).view(shape) + beta.view(shape)

    x = conv_norm(x).clamp(min=0)
    for stage in range(3):
        for block in range(blocks):
            y = conv_norm(x, 2 if stage and not block else 1).clamp(min=0)
            y = conv_norm(y)
            if shortcuts:
                known = x if y.shape == x.shape else x[:, :, ::2, ::2]
                y[:, : known.shape[1]] += known
            x = y.clamp(min=0)
    kernel, bias = weights
    return x.mean((2, 3)) @ kernel.T + bias


def preactivated(layers: dict[str, Tensor], x: Tensor) -> Tensor:
    """He et al., "Identity Mappings": batch norm and ReLU before each convolution, in the first block before both paths."""

    def active(x: Tensor, name: str) -> Tensor:
        gamma, beta, mean, variance = (
            layers[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        )
        shape = (1, -1, 1, 1)
        return (
            (x - mean.view(shape)) / (variance.view(shape) + 1e-5).sqrt() * gamma.view(shape) + beta.view(shape)
        ).relu()

    x = F.conv2d(x, layers["conv.weight"], padding=1)
    for block in range(8):
        name, stride = f"blocks.{block}", 2 if block in (2, 4, 6) else 1
        a = active(x, f"{name}.norm1")
        y = F.conv2d(a, layers[f"{name}.conv1.weight"], stride=stride, padding=1)
        y = F.conv2d(active(y, f"{name}.norm2"), layers[f"{name}.conv2.weight"], padding=1)
        if block in (2, 4, 6):
            x = F.conv2d(a, layers[f"{name}.shortcut.0.weight"], stride=2)
        elif block == 0:
            x = a
        x = x + y
    return active(x, "norm").mean((2, 3)) @ layers["linear.weight"].T + layers["linear.bias"]


def test_logits_and_gradients_equal_those_of_torchvision() -> None:
    ours = network_of("resnet18", 64, 7)
    theirs = with_weights_of(ours, torchvision_resnet18(64, 7))
    for mode in (True, False):
        assert torch.equal(ours.train(mode)(some_images(2)), theirs.train(mode)(some_images(2)))
    for network in (ours, theirs):
        F.cross_entropy(network.train()(some_images(2)), torch.tensor([0, 1])).backward()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-4, atol=1e-6)


INDEPENDENT: dict[str, Callable[[dict[str, Tensor], Tensor], Tensor]] = {
    "resnet20": lambda layers, x: by_table(layers, x, 3, True),
    "resnet56": lambda layers, x: by_table(layers, x, 9, True),
    "plain20": lambda layers, x: by_table(layers, x, 3, False),
    "preact_resnet18": preactivated,
}


@pytest.mark.parametrize("model", INDEPENDENT)
@pytest.mark.parametrize("width", [3, 8])
def test_logits_equal_those_of_an_independent_forward_pass(model: str, width: int) -> None:
    network = network_of(model, width, 7).double().eval()
    images = some_images().double()
    with torch.no_grad():
        torch.testing.assert_close(
            network(images), INDEPENDENT[model](network.state_dict(), images), rtol=1e-9, atol=1e-9
        )


# what every network must be


@pytest.mark.parametrize("model", networks.names())
@pytest.mark.parametrize("width", WIDTHS)
def test_evaluation_is_the_plain_one_in_double_precision(model: str, width: int) -> None:
    """Also where batch norms are folded, and at widths for which oneDNN's kernels are wrong."""
    network = network_of(model, width)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with torch.no_grad():
        quick = network.train().folded()(some_images())
        assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
        plain = network.double().eval()(some_images().double()).float()
    torch.testing.assert_close(quick, plain, rtol=1e-3, atol=1e-4 * float(plain.abs().max()))


def test_batch_norms_are_folded_where_each_follows_a_convolution() -> None:
    folding = [
        model
        for model in networks.names()
        if not any(isinstance(module, nn.BatchNorm2d) for module in network_of(model, 4).folded().modules())
    ]
    assert folding == ["plain20", "resnet18", "resnet18_published", "resnet20", "resnet56"]


@pytest.mark.parametrize("model", networks.names())
def test_the_hook_is_called_at_each_named_place_with_what_the_next_activation_is_given(model: str) -> None:
    network = network_of(model, 4)
    plain = network(some_images())
    network = network_of(model, 4)
    seen: list[int] = []
    given: dict[str, Tensor] = {}

    def look(place: int, x: Tensor) -> Tensor:
        seen.append(place)
        given[network.places[place]] = x
        assert x.min() < 0
        return x

    left = {}
    for name in network.places:
        network.get_submodule(name).register_forward_hook(lambda _, __, x, name=name: left.__setitem__(name, x))
    assert torch.equal(network(some_images(), look), plain)
    assert seen == list(range(len(network.places)))
    assert list(given) == list(network.places)
    for name, x in left.items():
        assert torch.equal(x.relu(), given[name].relu())


@pytest.mark.parametrize("model", networks.names())
def test_what_the_hook_returns_at_each_place_is_used(model: str) -> None:
    network = network_of(model, 4)
    plain = network(some_images())
    for here in range(len(network.places)):
        changed = network(some_images(), lambda place, x, here=here: x.square() if place == here else x)
        assert not torch.allclose(changed, plain)


@pytest.mark.parametrize("model", networks.names())
def test_a_run_of_any_network_repeats_and_resumes(model: str, tmp_path: Path) -> None:
    """With a carry at each of its places."""
    study = tiny.tiny_study(variants={"batch_res": tiny.variant("batch_res", 1)}, model=model, epochs=2)
    segment = tiny.scratch(study, "batch_res")
    whole = tiny.trainer_of(study, "batch_res")
    while whole.epoch < segment.stop:
        whole.train_epoch()
    stopped = tiny.trainer_of(study, "batch_res")
    stopped.train_epoch()
    with pytest.raises(KeyboardInterrupt):
        stopped.train_epoch(interrupt)
    resumed = tiny.trainer_of(study, "batch_res")
    resumed.load(*stopped.state())
    resumed.train_epoch()
    tensors, facts = whole.state()
    again, the_same = resumed.state()
    assert facts == the_same
    assert tensors.keys() == again.keys()
    assert all(torch.equal(tensor, again[name]) for name, tensor in tensors.items())
    assert {f"shortcut.{place}" for place in range(len(whole.network.places))} <= tensors.keys()


def interrupt() -> None:
    raise KeyboardInterrupt


def test_a_network_is_found_by_the_name_of_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three places, and without a form of its own for evaluation."""
    (tmp_path / "tower.py").write_text(TOWER)
    monkeypatch.setattr(networks, "__path__", [*networks.__path__, str(tmp_path)])
    assert "tower" in networks.names()
    network = networks.build("tower", 4, 3, numerics.generator(0, "init"))
    assert torch.equal(
        network.linear.weight, networks.build("tower", 4, 3, numerics.generator(0, "init")).linear.weight
    )
    with torch.no_grad():
        assert torch.equal(network.folded()(some_images()), network.eval()(some_images()))
    assert network.training is False


TOWER = """
from torch import nn
from temporal_shortcuts.networks.parts.network import Network

class Tower(Network):
    places = ("layers.0", "layers.1", "layers.2")

    def __init__(self, width, classes):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(c, width, 3, 2, 1) for c in (3, width, width))
        self.linear = nn.Linear(width, classes)

    def forward(self, images, hook=None):
        x = images
        for place, layer in enumerate(self.layers):
            x = layer(x)
            x = (x if hook is None else hook(place, x)).relu()
        return self.linear(x.mean((2, 3)))

build = Tower
"""


def test_names_are_known_without_torch() -> None:
    """The Snakefile checks a study whenever it is read."""
    code = "import sys; from temporal_shortcuts import networks; networks.names(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_network_is_said() -> None:
    for name in ("resnet19", "parts", "__init__", ""):
        with pytest.raises(UserError, match=r"must be one of plain20, preact_resnet18, resnet18, resnet18_published"):
            networks.build(name, 4, 10, torch.Generator())


# the hook and the initial weights of ResNet-18


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
def test_what_the_hook_returns_is_used(hook: Hook, logits: Callable[[nn.Linear], Tensor]) -> None:
    network, _ = pair(4)
    torch.testing.assert_close(network(some_images(), hook), logits(network.linear).expand(6, 10))


def test_initial_weights_come_from_the_given_generator_alone() -> None:
    one, same, other = (networks.build("resnet18", 4, 10, numerics.generator(seed, "init")) for seed in (0, 0, 1))
    torch.manual_seed(5)
    again = networks.build("resnet18", 4, 10, numerics.generator(0, "init"))
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, same.state_dict()[name])
        assert torch.equal(tensor, again.state_dict()[name])
    assert not torch.equal(one.linear.weight, other.linear.weight)


def test_initial_weights_have_pytorchs_usual_distribution() -> None:
    """Uniform within 1 / sqrt(inputs of a unit)."""
    network = networks.build("resnet18", 8, 10, numerics.generator(0, "init"))
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = module.weight[0].numel() ** -0.5
            assert 0.9 * bound < float(module.weight.abs().max()) <= bound
            assert abs(float(module.weight.mean())) < 0.2 * bound
    assert float(network.linear.bias.abs().max()) <= 64**-0.5
