"""The networks against others at equal weights: torchvision's, and those written here from the papers without sharing any code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from temporal_shortcuts import networks
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.networks.parts.network import Network
from temporal_shortcuts.training import numerics

WIDTHS = [1, 2, 3, 4, 5, 6, 12, 20, 8, 16]


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


def some_images(n: int = 6) -> Tensor:
    return torch.randn(n, 3, 32, 32, generator=numerics.generator(0, "images")).to(memory_format=torch.channels_last)


@pytest.mark.parametrize("width", WIDTHS)
def test_single_precision_is_right_at_any_width(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """oneDNN's kernels for AVX2 are wrong for some odd channels; the network goes around them.

    With a smooth activation: a ReLU's input that rounds to the other side of 0 would change a gradient by a part of one image.
    """
    monkeypatch.setattr(F, "relu", lambda x, inplace=False: F.softplus(x))
    monkeypatch.setattr(torch, "relu", F.softplus)
    single, double = network_of("resnet18", width), network_of("resnet18", width).double()
    losses = [
        F.cross_entropy(network(some_images().to(network.linear.weight.dtype)), torch.tensor([0, 1, 2, 0, 1, 2]))
        for network in (single, double)
    ]
    for loss in losses:
        loss.backward()
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-5)
    for (name, parameter), other in zip(single.named_parameters(), double.parameters(), strict=True):
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
    assert {model for model, _ in PARAMETERS} == set(networks.names())
    assert count(networks.build(model, width, 10, torch.Generator())) == PARAMETERS[model, width]


# the others, from the papers


Layers = dict[str, Tensor]


def normed(x: Tensor, layers: Layers, name: str) -> Tensor:
    parts = ("weight", "bias", "running_mean", "running_var")
    gamma, beta, mean, variance = (layers[f"{name}.{part}"].view(1, -1, 1, 1) for part in parts)
    return (x - mean) / (variance + 1e-5).sqrt() * gamma + beta


def convolved(x: Tensor, layers: Layers, name: str, stride: int = 1) -> Tensor:
    kernel = layers[f"{name}.weight"]
    return F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)


def answered(x: Tensor, layers: Layers) -> Tensor:
    return x.mean((2, 3)) @ layers["linear.weight"].T + layers["linear.bias"]


def basic(layers: Layers, x: Tensor, published: bool) -> Tensor:
    """He et al. (2016): eight blocks of two 3x3 convolutions, projections where the shape changes.

    `published` adds what the published code does otherwise: a projection in the second blocks of the last three stages, and the
    last block convolves first with the last convolution of the block before it.
    """
    x = normed(convolved(x, layers, "conv"), layers, "norm").relu()
    for block in range(8):
        name, stride = f"blocks.{block}", 2 if block in (2, 4, 6) else 1
        first = "blocks.6.conv2" if published and block == 7 else f"{name}.conv1"
        y = normed(convolved(x, layers, first, stride), layers, f"{name}.norm1").relu()
        y = normed(convolved(y, layers, f"{name}.conv2"), layers, f"{name}.norm2")
        if stride == 2 or (published and block in (3, 5, 7)):
            x = normed(convolved(x, layers, f"{name}.shortcut.0", stride), layers, f"{name}.shortcut.1")
        x = (x + y).relu()
    return answered(x, layers)


def by_table(layers: Layers, x: Tensor, blocks: int, shortcuts: bool) -> Tensor:
    """He et al. (2016), section 4.2: 6n + 2 layers, identity shortcuts, zeros for new channels (option A)."""
    x = normed(convolved(x, layers, "conv"), layers, "norm").relu()
    for block in range(3 * blocks):
        name, stride = f"blocks.{block}", 2 if block in (blocks, 2 * blocks) else 1
        y = normed(convolved(x, layers, f"{name}.conv1", stride), layers, f"{name}.norm1").relu()
        y = normed(convolved(y, layers, f"{name}.conv2"), layers, f"{name}.norm2")
        if shortcuts:
            known = x if y.shape == x.shape else x[:, :, ::2, ::2]
            y[:, : known.shape[1]] += known
        x = y.relu()
    return answered(x, layers)


def preactivated(layers: Layers, x: Tensor) -> Tensor:
    """He et al., "Identity Mappings": batch norm and ReLU before each convolution, in the first block before both paths."""
    x = convolved(x, layers, "conv")
    for block in range(8):
        name, stride = f"blocks.{block}", 2 if block in (2, 4, 6) else 1
        a = normed(x, layers, f"{name}.norm1").relu()
        y = convolved(a, layers, f"{name}.conv1", stride)
        y = convolved(normed(y, layers, f"{name}.norm2").relu(), layers, f"{name}.conv2")
        if stride == 2:
            x = convolved(a, layers, f"{name}.shortcut.0", stride)
        elif block == 0:
            x = a
        x = x + y
    return answered(normed(x, layers, "norm").relu(), layers)


INDEPENDENT: dict[str, Callable[[Layers, Tensor], Tensor]] = {
    "resnet18": lambda layers, x: basic(layers, x, False),
    "resnet18_published": lambda layers, x: basic(layers, x, True),
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


def test_logits_gradients_and_buffers_equal_those_of_torchvision() -> None:
    """With a 3x3 stem of stride 1 and no pooling at the start, as on CIFAR-10."""
    ours, theirs = network_of("resnet18", 64, 7), torchvision.models.resnet18(num_classes=7)
    theirs.conv1, theirs.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    weights = zip(theirs.state_dict(), ours.state_dict().values(), strict=True)  # matched by their order
    theirs.load_state_dict(dict(weights))
    theirs.to(memory_format=torch.channels_last)
    for mode in (True, False):
        assert torch.equal(ours.train(mode)(some_images(2)), theirs.train(mode)(some_images(2)))
    for network in (ours, theirs):
        F.cross_entropy(network.train()(some_images(2)), torch.tensor([0, 1])).backward()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-4, atol=1e-6)
    for mine, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        assert torch.equal(mine, other)


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
    (tmp_path / "tower.py").write_text("from temporal_shortcuts.networks.preact_resnet18 import build\n")
    monkeypatch.setattr(networks, "__path__", [*networks.__path__, str(tmp_path)])
    assert "tower" in networks.names()
    tower, twin = (networks.build(name, 4, 3, numerics.generator(0, "init")) for name in ("tower", "preact_resnet18"))
    assert torch.equal(tower.linear.weight, twin.linear.weight)
    with torch.no_grad():  # which has no form of its own for evaluation
        assert torch.equal(tower.folded()(some_images()), tower.eval()(some_images()))


def test_an_unknown_network_is_said() -> None:
    for name in ("resnet19", "parts", "__init__", ""):
        with pytest.raises(UserError, match=r"must be one of plain20, preact_resnet18, resnet18, resnet18_published"):
            networks.build(name, 4, 10, torch.Generator())


def test_initial_weights_come_from_the_given_generator_alone() -> None:
    one, same, other = (networks.build("resnet18", 4, 10, numerics.generator(seed, "init")) for seed in (0, 0, 1))
    torch.manual_seed(5)
    again = networks.build("resnet18", 4, 10, numerics.generator(0, "init"))
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, same.state_dict()[name])
        assert torch.equal(tensor, again.state_dict()[name])
    assert not torch.equal(one.linear.weight, other.linear.weight)
