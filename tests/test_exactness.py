"""A record is a pure function of its study: whatever happens around the computation, the bytes are the same."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import golden
import numpy as np
import pytest
import tiny
import torch
from forks import TRAIN, Forks

from temporal_shortcuts.analysis import records
from temporal_shortcuts.study import Segment, Study
from temporal_shortcuts.study import model as studies
from temporal_shortcuts.training.states import read_facts, read_state

EVERY_STEP, NEVER = 1e-9, 1e6
"""Minutes between saved states within an epoch."""

BEGIN_WITHOUT = ("learnt", "same_image")
"""Kinds that carry nothing yet in two batches after their onset: a strength of 0, and no image that was seen before."""


PUBLISHED = ("batch_res", "epoch_res", "epoch_res_published")


def kinds_and_onsets() -> Iterator[Any]:
    """Each published kind with each onset; of each other kind one onset, in turn, and the rest for `make test-all`."""
    for kind in tiny.KINDS:
        onsets = [onset for name, onset in tiny.KINDS_AND_ONSETS if name == kind]
        chosen = onsets[list(tiny.KINDS).index(kind) % len(onsets)]
        for onset in onsets:
            quick = kind in PUBLISHED or onset == chosen
            yield pytest.param(kind, onset, marks=() if quick else pytest.mark.slow)


class Job:
    """A segment's command line, run in processes that die."""

    def __init__(self, forks: Forks, study: Study, segment: Segment, data: Path, work: Path):
        self.forks, self.segment, self.work = forks, segment, work
        self.log = work / f"{segment.state}.log"
        study.write(work / "study.json")
        self.arguments = [TRAIN, "--study", work / "study.json", "--state", segment.state]
        self.arguments += ["--data", data, "--work", work]

    def die(self, moment: str, minutes: float) -> None:
        moment = moment.replace("OUTPUT", f"{self.segment.state}.state")
        status = self.forks.run(*self.arguments, "--checkpoint-minutes", minutes, log=self.log, at=moment)
        assert status == -signal.SIGKILL, f"not killed at {moment!r}:\n{self.log.read_text()}"

    def finish(self, minutes: float) -> Path:
        status = self.forks.run(*self.arguments, "--checkpoint-minutes", minutes, log=self.log)
        assert status == 0, self.log.read_text()
        return self.work / "states" / f"{self.segment.state}.state"


def chain_of_jobs(forks: Forks, kind: str, onset: int, data: Path, work: Path) -> list[Job]:
    """The segments of a variant that shares its prefix with a benchmark."""
    study = tiny.tiny_study(variants={"benchmark": {}, "it": tiny.variant(kind, onset)})
    return [Job(forks, study, segment, data, work) for segment in study.chain(tiny.run_of(study, "it"))]


def saved(epoch: int, step: int) -> str:
    return f"epoch{epoch:06d}-step{step:08d}.state"


def deaths(kind: str, onset: int, segment: Segment) -> Iterator[str]:
    """Moments before, in and after the onset epoch and of the output, in the order in which a run comes by them."""
    stages = ("half", "written", "replaced")
    for epoch in range(max(segment.start, onset - 1), min(segment.stop, onset + 2)):
        yield f"step {epoch} {1 + (epoch + onset // 2) % 2}"
        if epoch == onset - 1 or epoch == 0:
            yield f"{stages[(epoch + len(kind)) % 3]} {saved(epoch + 1, 0)}"
    yield f"{stages[(onset + len(kind)) % 3]} OUTPUT"


Alone = Callable[[Mapping[str, Any] | None], bytes]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Alone:
    """The final state of a run with a shortcut that is trained from epoch 0 in one go, in this process; each is trained once."""

    @cache
    def state(key: str) -> bytes:
        return tiny.train_alone(tmp_path_factory.mktemp("alone"), json.loads(key)).read_bytes()

    return lambda shortcut: state(json.dumps(shortcut, sort_keys=True))


@pytest.mark.parametrize(("kind", "onset"), [*kinds_and_onsets()])
def test_killed_before_in_and_after_the_onset(
    forks: Forks, data: Path, alone: Alone, tmp_path: Path, kind: str, onset: int
) -> None:
    """Shares its prefix, saves at every step, is killed with SIGKILL: ends as the run that is trained alone in one go."""
    for job in chain_of_jobs(forks, kind, onset, data, tmp_path / "killed"):
        for moment in deaths(kind, onset, job.segment):
            job.die(moment, EVERY_STEP)
        final = job.finish(EVERY_STEP)
        assert [path.name for path in (tmp_path / "killed" / "segments" / job.segment.state).iterdir()] == ["lock"]
    assert final.read_bytes() == alone(tiny.KINDS[kind] | {"onset": onset})


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_killed_without_states_within_epochs(forks: Forks, data: Path, alone: Alone, tmp_path: Path, kind: str) -> None:
    """An epoch that is killed is trained again from its beginning."""
    study = tiny.tiny_study(variants={"it": tiny.variant(kind, 2)})
    job = Job(forks, study, tiny.scratch(study, "it"), data, tmp_path / "killed")
    for moment in ("step 1 2", "evaluated 2"):
        job.die(moment, NEVER)
    final = job.finish(NEVER)
    assert final.read_bytes() == alone(tiny.KINDS[kind] | {"onset": 2})


def test_killed_at_random_instants(forks: Forks, data: Path, tmp_path: Path) -> None:
    study = tiny.tiny_study(variants={"it": tiny.variant("shuffled", 1)}, epochs=8)
    job = Job(forks, study, tiny.scratch(study, "it"), data, tmp_path / "killed")
    alone = Job(forks, study, tiny.scratch(study, "it"), data, tmp_path / "alone")
    started = time.monotonic()
    expected = alone.finish(EVERY_STEP)
    lasts = time.monotonic() - started
    for _ in range(8):
        child = forks.start(*job.arguments, "--checkpoint-minutes", EVERY_STEP, log=job.log)
        time.sleep(random.random() * lasts)
        os.kill(child, signal.SIGKILL)  # a zombie at worst: the server has not waited for it yet
        forks.wait(child)
    assert job.finish(EVERY_STEP).read_bytes() == expected.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "onset"), [*kinds_and_onsets()])
def test_killed_at_every_moment(forks: Forks, data: Path, tmp_path: Path, kind: str, onset: int) -> None:
    """One after the other, at each step and each stage of each writing that an unkilled job comes by."""
    study = tiny.tiny_study(variants={"it": tiny.variant(kind, onset)})
    alone = Job(forks, study, tiny.scratch(study, "it"), data, tmp_path / "alone")
    expected = alone.finish(EVERY_STEP).read_bytes()
    moments = alone.log.with_suffix(".moments").read_text().splitlines()
    assert len(moments) > 50
    job = Job(forks, study, tiny.scratch(study, "it"), data, tmp_path / "killed")
    for moment in moments:
        job.die(moment, EVERY_STEP)
    assert job.finish(EVERY_STEP).read_bytes() == expected


# -- fresh processes ---------------------------------------------------------------------------------------------------


def test_fresh_processes_give_equal_bytes(data: Path, tmp_path: Path) -> None:
    """Weights, buffers, momentum, shortcut state and record; and another seed gives others."""
    study = tiny.tiny_study(seeds=(0, 1), variants={"it": tiny.variant("epoch_res", 1)})
    circumstances = {
        "a": {"PYTHONHASHSEED": "1"},
        "b": {"PYTHONHASHSEED": "2", "OMP_NUM_THREADS": "2", "TZ": "Asia/Tokyo"},
    }
    run, segment = tiny.run_of(study, "it"), tiny.scratch(study, "it")
    processes = []
    for name, environ in circumstances.items():
        study.write(tmp_path / name / "study.json")
        command = [sys.executable, TRAIN, "--study", "study.json", "--state", segment.state, "--data", data]
        command += ["--work", ".", "--checkpoint-minutes", str(EVERY_STEP)]
        processes.append(subprocess.Popen(command, cwd=tmp_path / name, env=os.environ | environ))
    other = tiny.train(tiny.scratch(study, "it", 1), tmp_path / "other")
    assert [process.wait() for process in processes] == [0, 0]
    first, second = (tmp_path / name / "states" / f"{run.fingerprint}-final.state" for name in circumstances)
    assert first.read_bytes() == second.read_bytes()
    mine, theirs = read_state(first)[0], read_state(other)[0]
    for group in ("network", "optimizer", "shortcut"):
        assert any(not torch.equal(mine[name], theirs[name]) for name in mine if name.startswith(f"{group}."))
    for name, state in (("a", first), ("b", second)):
        records.write(run, state, tmp_path / name)
    for name in run.record_files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert read_facts(first)["rows"] != read_facts(other)["rows"]


# -- one forest, in this process -----------------------------------------------------------------------------------------

SHARING = {
    "benchmark": {},
    **{kind: tiny.variant(kind, 2) for kind in tiny.KINDS},
    "early": tiny.variant("batch_res", 1),
    "last": tiny.variant("epoch_res", tiny.EPOCHS - 1),
}


@pytest.fixture(scope="module")
def finals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Final states of a study whose runs share all that they can share."""
    study = tiny.tiny_study(variants=SHARING)
    assert study.epochs_trained == 4 + 2 * len(tiny.KINDS) + 3 + 1
    return tiny.train_study(study, tmp_path_factory.mktemp("forest"))


@pytest.mark.parametrize("name", SHARING)
def test_a_branch_equals_the_run_from_scratch(finals: dict[str, Path], alone: Alone, name: str) -> None:
    assert finals[name].read_bytes() == alone(SHARING[name].get("shortcut"))


@pytest.mark.parametrize("name", list(SHARING)[1:])
def test_until_its_onset_a_run_is_the_benchmark(finals: dict[str, Path], name: str) -> None:
    """Not by sharing only: a run alone, which records for its onset, has the benchmark's weights and momentum there too."""
    study = tiny.tiny_study(variants={"benchmark": {}, name: SHARING[name]})
    onset = SHARING[name]["shortcut"]["onset"]
    states = []
    for trainer in (tiny.trainer_of(study), tiny.trainer_of(study, name)):
        for _ in range(onset):
            trainer.train_epoch()
        states.append(trainer)
    benchmark, it = states
    assert it.rows == benchmark.rows == read_facts(finals["benchmark"])["rows"][:onset]
    assert it.recorded
    assert not benchmark.recorded
    tensors = [{k: v for k, v in one.state()[0].items() if not k.startswith("recorded.")} for one in states]
    assert same(*tensors)
    if name in BEGIN_WITHOUT:
        return
    it.train_epoch()
    benchmark.train_epoch()
    assert not same(*(one.network.state_dict() for one in states))
    assert (
        it.rows[-1] != benchmark.rows[-1] or name == "one_bit"
    )  # one bit of one weight need not show in a loss at once


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The numbers of a run without a shortcut."""
    return tiny.numbers(tiny.train_alone(tmp_path_factory.mktemp("plain"), evaluate_with_carry=False))


@pytest.mark.parametrize("kind", [kind for kind in tiny.KINDS if "strength" in tiny.KINDS[kind]])
def test_strength_0_is_the_benchmark(plain: dict[str, Any], tmp_path: Path, kind: str) -> None:
    zero = tiny.train_alone(tmp_path, tiny.KINDS[kind] | {"onset": 1, "strength": 0.0}, evaluate_with_carry=False)
    assert tiny.numbers(zero) == plain
    assert any(name.startswith("shortcut.") for name in read_state(zero)[0])


def same(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# -- evaluation and global generators ------------------------------------------------------------------------------------


def generators() -> tuple[Any, ...]:
    """The states of the global generators."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return random.getstate(), kind, keys.tobytes(), rest, torch.get_rng_state().numpy().tobytes()


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_evaluation_changes_no_state(kind: str) -> None:
    study = tiny.tiny_study(variants={"it": tiny.variant(kind, 1)})
    once, often = tiny.trainer_of(study, "it"), tiny.trainer_of(study, "it")

    def evaluate() -> None:
        before, tensors = generators(), {name: tensor.clone() for name, tensor in often.state()[0].items()}
        results = [often.evaluate() for _ in range(2)]
        assert results[0][0] == results[1][0]
        assert torch.equal(results[0][1], results[1][1])
        assert same(tensors, often.state()[0])
        assert generators() == before

    for _ in range(3):
        once.train_epoch()
        evaluate()
        often.train_epoch(between=lambda: (evaluate(), often.network.train()))
    assert once.rows == often.rows
    assert same(once.state()[0], often.state()[0])


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_evaluating_with_the_carry_changes_no_state(tmp_path: Path, kind: str) -> None:
    with_, without = (
        tiny.train_alone(tmp_path, tiny.KINDS[kind] | {"onset": 1}, evaluate_with_carry=carry, epochs=3)
        for carry in (True, False)
    )
    assert same(read_state(with_)[0], read_state(without)[0])
    rows = read_facts(with_)["rows"]
    assert all(0 <= row.pop("test_accuracy_with_carry") <= 1 for row in rows)
    assert rows == read_facts(without)["rows"]


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_global_generators_play_no_part(tmp_path: Path, kind: str) -> None:
    def stir(_: str) -> None:
        random.seed(len(stirred))
        np.random.seed(len(stirred))  # noqa: NPY002
        torch.manual_seed(len(stirred))
        stirred.append(generators())

    stirred: list[Any] = []
    study = tiny.tiny_study(variants={"it": tiny.variant(kind, 1)}, epochs=3)
    quiet = tiny.train(tiny.scratch(study, "it"), tmp_path / "quiet")
    noisy = tiny.train(tiny.scratch(study, "it"), tmp_path / "noisy", say=stir)
    assert len(stirred) == 3
    assert generators() == stirred[-1]
    assert quiet.read_bytes() == noisy.read_bytes()


# -- golden steps --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", golden.trajectories())
def test_golden_steps(tmp_path: Path, name: str) -> None:
    """The arithmetic is that of its recipe: near it on any machine, the same to the last bit on one whose hash is stored."""
    stored, sentence = json.loads(golden.FILE.read_text()), golden.SENTENCE.format(recipe=studies.RECIPE)
    assert stored["recipe"] == studies.RECIPE, "study.RECIPE was raised: run `PYTHONPATH=src python tests/golden.py`."
    found = golden.steps(name, tmp_path)
    losses, expected = ([float.fromhex(loss) for loss in one] for one in (found["losses"], stored["losses"][name]))
    assert losses == pytest.approx(expected, rel=1e-3), sentence
    here = golden.environment()
    if name not in stored["hashes"].get(here, {}):
        pytest.skip(
            f"no hash of {here} is stored, so that losses were compared to 1 in 1,000 only: run tests/golden.py"
        )
    assert found["hash"] == stored["hashes"][here][name], sentence
