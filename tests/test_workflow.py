"""No stale number, nothing trained twice, the same bytes however Snakemake runs: with real runs of a study that takes seconds."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_study import ROOT, Workplace


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    workplace = Workplace(tmp_path_factory.mktemp("workflow") / "done")
    workplace.run(cores=2)
    return workplace


def test_the_whole_way_leaves_every_result_and_removes_spent_states(done: Workplace) -> None:
    names = set(done.files())
    assert {"study.json", "metrics.csv", "runs.csv", "summary.csv", "stability.csv", "README.md"} <= names
    assert sum(name.startswith("records/") and name.endswith(".csv") for name in names) == 6
    assert any(name.startswith("figures/") for name in names)
    assert not list((done.folder / "work" / "states").glob("*.state"))


def test_one_core_and_two_give_the_same_bytes(done: Workplace, tmp_path: Path) -> None:
    other = Workplace(tmp_path / "one_core")
    other.run(cores=1)
    assert other.files() == done.files()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_fresh_clone_trains_nothing_whatever_the_times(done: Workplace, tmp_path: Path, seed: int) -> None:
    clone = done.clone(tmp_path / "clone", seed)
    planned = clone.planned()
    assert "segment" not in planned
    assert "record" not in planned
    assert "prepare" not in planned
    if seed == 1:
        clone.run()
        assert clone.files() == done.files()


def test_an_edited_variant_trains_alone_and_no_table_shows_the_old_number(done: Workplace, tmp_path: Path) -> None:
    clone = done.clone(tmp_path / "clone", 4)
    clone.study["variants"]["lr_0.1"] = {"learning_rate": 0.05}
    clone.save()
    planned = clone.planned("results/tiny/summary.csv")
    assert planned["segment"] == 1, "asking only for a table must train the edited variant too"
    clone.run("results/tiny/summary.csv")
    old, new = ({row["variant"]: row for row in csv.DictReader(text.splitlines())} for text in _summaries(done, clone))
    assert old["lr_0.1"] != new["lr_0.1"]
    assert {name for name in old if old[name] != new[name]} == {"lr_0.1"}
    del clone.study["variants"]["lr_0.1"]
    clone.save()
    planned = clone.planned()
    assert "segment" not in planned
    assert "record" not in planned
    clone.run()
    assert {name: text for name, text in clone.files().items() if name in done.files()} == done.files()


def _summaries(*workplaces: Workplace) -> list[str]:
    return [(workplace.results / "summary.csv").read_text() for workplace in workplaces]


@pytest.mark.parametrize("target", ["all", "results/tiny/summary.csv", "tables", "results/tiny/README.md"])
def test_a_deleted_record_is_made_again_by_its_own_segments(done: Workplace, tmp_path: Path, target: str) -> None:
    clone = done.clone(tmp_path / "clone", 5)
    for path in (clone.results / "records" / "batch_res_late").glob("*.csv"):
        path.unlink()
    planned = clone.planned(target)
    assert planned["segment"] == 3  # epochs 1, 2 and 3: the benchmark's first two, and its own
    assert planned["record"] == 1
    assert planned["collect"] == 1


def test_a_further_seed_trains_alone(done: Workplace, tmp_path: Path) -> None:
    clone = done.clone(tmp_path / "clone", 6)
    clone.study["variants"]["lr_0.1"] = {"seeds": [0, 7]}
    clone.save()
    planned = clone.planned()
    assert planned["segment"] == 1
    assert planned["record"] == 1


def test_a_renamed_variant_trains_nothing(done: Workplace, tmp_path: Path) -> None:
    clone = done.clone(tmp_path / "clone", 7)
    clone.study["variants"] |= {"lr_0.1": None, "fast": {"learning_rate": 0.1, "label": "fast"}}
    clone.save()
    planned = clone.planned()
    assert "segment" not in planned
    assert planned["record"] == 1
    clone.run("fast")
    (fast,), (before,) = (
        list((place.results / "records" / name).glob("*.csv")) for place, name in ((clone, "fast"), (done, "lr_0.1"))
    )
    assert fast.read_bytes() == before.read_bytes()


def test_a_stage_a_variant_and_a_path_are_targets(done: Workplace, tmp_path: Path) -> None:
    clone = done.clone(tmp_path / "clone", 8)
    assert clone.planned("data") == {"data": 1, "prepare": 1, "total": 2}
    for path in (clone.results / "records").glob("*/*.csv"):
        path.unlink()
    assert clone.planned("batch_res_late")["record"] == 1
    path = next((done.results / "records" / "benchmark").glob("*.csv")).relative_to(done.folder)
    assert clone.planned(str(path))["record"] == 1


def test_killed_at_random_instants_it_ends_with_the_same_bytes(done: Workplace, tmp_path: Path) -> None:
    """SIGKILL to Snakemake alone, or to it and its jobs, then the same command again; at last it runs to its end."""
    other = Workplace(tmp_path / "killed")
    chance = random.Random(9)
    for _ in range(4):
        process = subprocess.Popen(
            other.command(options=("--quiet", "all")), cwd=other.folder, env=other.environment(), start_new_session=True
        )
        time.sleep(chance.uniform(5, 14))
        if chance.random() < 0.5:
            process.kill()  # its jobs go on, and the next Snakemake meets them
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    other.run()
    assert other.files() == done.files()


def test_files_are_made_by_one_process_at_a_time_and_given_back_by_a_kill(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from temporal_shortcuts import places; "
        "places.claim(sys.argv[2:], Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}

    def holder(*files: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code, str(tmp_path), *files]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    with holder("a", "b") as first, holder("c") as beside:
        assert [process.stdout.readline() for process in (first, beside)] == ["held\n"] * 2
        with holder("d", "b") as late:
            assert "b: another Snakemake is making it; wait until that has ended" in late.communicate()[1]
        first.kill()
        first.wait()
        with holder("d", "b") as next_one:
            assert next_one.stdout.readline() == "held\n"
            next_one.kill()
        beside.kill()


def test_two_snakemakes_at_once_do_not_harm_each_other(done: Workplace, tmp_path: Path) -> None:
    other = Workplace(tmp_path / "twice")
    command = other.command("benchmark", "lr_0.1", cores=1, options=("--quiet", "all"))
    both = [subprocess.Popen(command, cwd=other.folder, env=other.environment()) for _ in range(2)]
    assert 0 in [process.wait() for process in both]
    other.run()
    assert other.files() == done.files()
