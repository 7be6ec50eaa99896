"""What a study's file may hold: each key with its kind of value, its range, its default and what it means, said here only.

The defaults are the published protocol. workflow/schemas/study.schema.json, for editors, is made from these types (`make schema`).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from temporal_shortcuts import networks
from temporal_shortcuts.study import endpoints
from temporal_shortcuts.study.kinds import KINDS
from temporal_shortcuts.study.segments import VALIDATION

T = TypeVar("T", bound=Hashable)


def _whole(value: Any) -> Any:
    """7.0 is the whole number 7."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _distinct(values: list[T]) -> list[T]:
    seen: set[T] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{value!r} is in it more than once; remove one of them")
        seen.add(value)
    return values


def _form(pattern: str, form: str) -> Any:
    """Text that matches a pattern, and the pattern in words."""
    return Annotated[str, Field(pattern=pattern, json_schema_extra={"form": form})]


def _text(most: int) -> Any:
    return Annotated[str, Field(min_length=1, max_length=most)]


def added(default: Any, **about: Any) -> Any:
    """A key that came after recipe 1: at its default it is in no study.json and in no fingerprint."""
    return Field(default, json_schema_extra={"added": True}, **about)


Whole = Annotated[int, BeforeValidator(_whole)]
Number = Annotated[float, AfterValidator(lambda value: value + 0.0)]  # so that 0 and -0 are one value
Distinct = Annotated[list[T], AfterValidator(_distinct), Field(json_schema_extra={"uniqueItems": True})]
Path = _form("^[^~{}<>][^{}<>]*$", "a path without {, }, < or >, and without ~ at its beginning")
Checksum = _form("^(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})$", "sha256: and 64 small hexadecimal digits, or md5: and 32")
Address = _form("^https?://[^/ ]+", "an address that begins with https:// or http://")
Name = _form("^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", "up to 64 letters, digits, _, . and -, a letter or digit first")
StudyName = _form("^[a-z0-9][a-z0-9_-]{0,39}$", "up to 40 small letters, digits, _ and -, a letter or digit first")
ClaimName = _form("^[a-z0-9][a-z0-9_.-]{0,63}$", "up to 64 small letters, digits, _, . and -, a letter or digit first")
Seeds = Annotated[Distinct[Annotated[Whole, Field(ge=0, le=2147483647)]], Field(min_length=1, max_length=10000)]
Endpoint = Literal[endpoints.DECIDING]
ClaimEndpoint = Literal[endpoints.NAMES]
Arguments = dict[str, Any]
_FLAG: tuple[Arguments, Arguments] = ({"train": True}, {"train": False})
_SPLIT: tuple[Arguments, Arguments] = ({"split": "train"}, {"split": "test"})
SETS: dict[str, tuple[Arguments, Arguments]] = {
    **dict.fromkeys(("CIFAR10", "CIFAR100", "FashionMNIST", "KMNIST", "MNIST", "QMNIST", "USPS"), _FLAG),
    **dict.fromkeys(("Country211", "DTD", "Flowers102", "Food101", "GTSRB", "RenderedSST2", "STL10", "SVHN"), _SPLIT),
    "OxfordIIITPet": ({"split": "trainval"}, {"split": "test"}),
    "EMNIST": ({"split": "balanced", "train": True}, {"split": "balanced", "train": False}),
    "Imagenette": ({"split": "train"}, {"split": "val"}),
}
"""The sets of torchvision with a training and a test part of the same classes, whose downloads it checks: what its class is called with
for each part."""
Dataset = Literal[tuple(sorted(SETS))]
ModelName = Literal[networks.names()]
KindName = Literal[tuple(KINDS)]
Strength = Annotated[Number, Field(ge=0, le=100, description="what the carry is multiplied by")]
Onset = Annotated[Whole, Field(ge=0, le=100000, description="epochs completed before the shortcut acts")]


class Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Augmentation(Declared):
    crop_padding: Whole = Field(4, ge=0, le=16, description="pixels of zero padding for the random crop")
    flip: bool = Field(True, description="random horizontal flip")


class Settings(Declared):
    """The part of the protocol that a variant may change."""

    model: ModelName = Field("resnet18", description="a file of networks/")
    width: Whole = Field(64, ge=1, le=1024, description="channels of the first stage")
    batch_size: Whole = Field(128, ge=2, le=65536)
    learning_rate: Number = Field(0.01, gt=0, le=100)
    momentum: Number = Field(0.9, ge=0, lt=1)
    weight_decay: Number = Field(0.0005, ge=0, le=1)
    schedule: Literal["cosine", "step", "constant"] = added(
        "cosine", description="of the learning rate; constant cools down at its end"
    )
    schedule_epochs: Whole = Field(200, ge=1, le=100000, description="epochs of the schedule, trained or not")
    optimizer: Literal["sgd", "nesterov", "adamw"] = added("sgd", description="adamw takes momentum as its beta1")
    label_smoothing: Number = added(0.0, ge=0, lt=1)
    augmentation: Augmentation = Augmentation()


class Protocol(Settings):
    """What the variants have in common. The defaults are the published protocol."""

    epochs: Whole = Field(50, ge=1, le=100000, description="epochs that each run trains")
    device: Literal["cpu", "cuda", "auto"] = "cuda"
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    instruction_set: Literal["avx2", "avx512", "native"] = Field(
        "avx2", description="of a CPU: pinned, or native for whatever it has"
    )
    compile: bool = Field(False, description="use torch.compile")
    evaluate_with_carry: bool = Field(False, description="record also the test accuracy with the carry left on")
    average_from: Whole | None = added(
        None,
        ge=1,
        le=100000,
        description="first epoch, counted from 1, whose weights enter the running mean; null for none",
    )
    extra_evaluations: Literal["each_epoch", "last_epoch"] = added(
        "each_epoch", description="when the mean of the weights, and the network with its carry, are evaluated"
    )


class Shortcut(Declared):
    """A temporal shortcut."""

    kind: KindName
    strength: Strength | None = None
    onset: Onset
    accounting: Literal["corrected", "published"] | None = Field(
        None, description="of epoch_res: the mean as defined, or as the published code took it"
    )
    stream: Whole = added(
        1, ge=1, le=10000, description="of fresh_order: which of the seed's other streams of order and augmentation"
    )


class VariantKeys(Settings):
    """A variant as it is declared: what is not given is the protocol's."""

    label: _text(80) | None = Field(None, description="how texts and figures call it; from its settings if not given")
    published: Number | None = Field(None, ge=0, le=1, description="test accuracy in the published report, a fraction")
    against: str | None = Field(None, description="what it is compared with, if not the benchmark; null for none")
    seeds: Seeds | None = None
    shortcut: Shortcut | None = None


class Grid(Declared):
    """A variant for each combination, named <kind>-<strength>-<onset>."""

    kinds: Annotated[Distinct[KindName], Field(min_length=1)]
    strengths: Annotated[Distinct[Strength], Field(min_length=1, max_length=100)]
    onsets: Annotated[Distinct[Onset], Field(min_length=1, max_length=100)]


class Claim(Declared):
    """A statement that can be tested, written down before any run."""

    id: ClaimName
    text: _text(300) | None = Field(None, description="the statement in words; from its test and variants if not given")
    test: Literal["better", "not_better", "negligible", "best_of", "fails_to_converge"]
    variant: str
    than: str | None = None
    among: Annotated[Distinct[str], Field(min_length=1)] | None = None
    endpoint: ClaimEndpoint | None = Field(None, description="the number of a run that decides it, if not the study's")
    margin: Number | None = Field(
        None,
        gt=0,
        le=100,
        description="points: a difference that is surely smaller is negligible; instead of the study's",
    )
    threshold: Number | None = Field(None, ge=0, le=1, description="accuracy, a fraction")
    published: _text(200) | None = Field(None, description="what the published report says")
    stage: Whole = added(
        1,
        ge=1,
        le=9,
        description="claims of a later stage are tested only where every claim of the earlier ones is decided",
    )


class Data(Declared):
    """The images."""

    source: Literal["cifar10", "torchvision", "image_folder", "digits"]
    dataset: Dataset | None = added(None, description="of the source torchvision, the name of its class")
    checksum: Checksum = Field(description="sha256 of the prepared arrays, or for cifar10 the official archive's md5")
    name: _text(80) | None = Field(None, description="how texts call the data; the source if not given")
    images_per_class: Whole | None = Field(
        None, ge=1, le=10000000, description="training images of each class, the first ones; null for all"
    )
    validation_per_class: Whole | None = added(
        None,
        ge=1,
        le=10000000,
        description="training images of each class, the last ones, that all runs are evaluated on instead of the test images; "
        "null for none",
    )
    path: Annotated[str, Field(min_length=1)] | None = Field(None, description="a copy of the data on this machine")
    urls: Distinct[Address] | None = Field(None, description="where to download it, tried in this order")
    archive_checksum: Checksum | None = Field(None, description="checksum of the downloaded archive")

    @property
    def identity(self) -> str:
        """The checksum of the prepared arrays, or of the archive together with what is taken from it; and the validation images.

        These are named although the arrays' checksum covers them: so that data that was prepared with test images is not found
        under the name, and `segments.evaluated_images` can say from a run's data what it is evaluated on.
        """
        what = self.checksum
        if not what.startswith("sha256:"):
            what = f"{what}/{self.source}/{self.images_per_class or 'all'}"
        return what if self.validation_per_class is None else f"{what}{VALIDATION}{self.validation_per_class}"


class Confirm(Declared):
    """Another study, which confirms on fresh seeds and the test images what does best in this one: its file is made by a rule."""

    study: StudyName = Field(description="its name, and that of its file, which is made beside this one")
    title: _text(200) | None = Field(None, description="one sentence that says what it is")
    checksum: Checksum = Field(description="of its data, which are this study's with the test images to evaluate on")
    seeds: Seeds = Field(description="none of which this study has")
    schedules: Annotated[Distinct[Annotated[Whole, Field(ge=1, le=100000)]], Field(min_length=1)] | None = Field(
        None,
        description="schedule_epochs, for each of which it has a benchmark and a claim; the benchmark's if not given",
    )
    ties: Literal["spread", "name"] = added(
        "spread",
        description="which of candidates that do equally well is confirmed: that of the smaller spread, or the first by name",
    )

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.study}.yaml"


class Running(Declared):
    """How a study is run and kept: nothing here changes a number."""

    results: Path = Field("results", description="folder that holds results/<study>")
    work: Path = Field("work", description="folder for data, states and logs; may be deleted at any time")
    keep_states: bool = Field(False, description="keep the states that nothing needs any more")
    keep_weights: bool = Field(False, description="keep each run's final weights beside its record")
    force_environment: bool = Field(False, description="go on with states that another numeric environment made")
    checkpoint_minutes: Number = Field(
        5.0, gt=0, le=1000000, description="minutes between saved states within an epoch"
    )
    jobs_per_gpu: Whole = Field(1, ge=1, le=1000, description="training jobs that share one GPU of this machine")


class StudyKeys(Running):
    """A study: a data set, a protocol, variants, seeds and claims."""

    study: StudyName = Field(description="name of the study and of its folder under results")
    title: _text(200) | None = Field(None, description="one sentence that says what the study is")
    scale: _text(300) | None = Field(None, description="how it differs from the published protocol, in a few words")
    extends: str | None = Field(None, description="the file that this one changes, seen from this one's folder")
    data: Data
    protocol: Protocol = Protocol()
    seeds: Seeds
    benchmark: str | None = Field(None, description="the variant that others are compared with; the first if not given")
    tolerance: Number = Field(0.02, gt=0, lt=1, description="of the stable epoch, as a fraction")
    endpoint: Endpoint = added("last5", description="the number of a run that decides the claims")
    margin: Number | None = added(
        None, gt=0, le=100, description="points: a difference that is surely smaller is negligible; null for none"
    )
    variances: Literal["own", "moderated"] = added(
        "own", description="of each comparison alone, or with strength borrowed from the others (Smyth, 2004)"
    )
    confirm: Confirm | None = added(None, description="the study that confirms what does best in this one")
    variants: dict[Name, VariantKeys | None] = Field(
        min_length=1, description="name of a variant -> what is different in it; null takes an extended study's away"
    )
    grid: Grid | None = None
    claims: list[Claim] = []
