"""No stale number, nothing trained twice, the same bytes however Snakemake runs: with real runs of a study that takes seconds."""

from __future__ import annotations

import csv
import fcntl
import os
import random
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from tiny_study import ROOT, Workplace, tiny_study

from temporal_shortcuts import folders

SNAKEMAKE = (sys.executable, "-m", "snakemake")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    workplace = Workplace(tmp_path_factory.mktemp("workflow") / "done")
    workplace.run(cores=2)
    return workplace


@pytest.fixture
def clone(done: Workplace, tmp_path: Path) -> Workplace:
    """A fresh clone, of which the files have times in some order."""
    return done.clone(tmp_path / "clone", 4)


def test_the_whole_way_leaves_every_result_and_removes_spent_states(done: Workplace) -> None:
    names = set(done.files())
    assert {"study.json", "metrics.csv", "runs.csv", "summary.csv", "stability.csv", "README.md"} <= names
    assert sum(name.startswith("records/") and name.endswith(".csv") for name in names) == 4
    assert any(name.startswith("figures/") for name in names)
    assert not list((done.folder / "work" / "states").glob("*.state"))


def test_one_core_and_two_give_the_same_bytes(done: Workplace, tmp_path: Path) -> None:
    other = Workplace(tmp_path / "one_core")
    said = other.run("records", cores=1)
    assert records_of(other) == records_of(done)
    jobs = re.findall(r"^Job \d+: (Train epochs \d+ to \d|Record )", said, re.MULTILINE)
    finished = [after for job, after in pairwise(jobs) if job.endswith("to 3")]
    assert finished == ["Record "] * len(finished), "a run that is trained is recorded before another begins"
    assert len(finished) >= 3


def test_a_seeds_runs_are_whole_before_the_next_ones_begin_and_long_ones_begin_first(tmp_path: Path) -> None:
    said = Workplace(tmp_path / "seeds", tiny_study() | {"seeds": [7, 0]}).run("records", cores=1)
    begun = re.findall(r"^Job \d+: Train epochs (\d+) to \d of \S+ seed (\d)", said, re.MULTILINE)
    assert begun == sorted(begun, key=lambda job: (-int(job[1]), int(job[0])))
    assert {start for start, _ in begun if start != "1"}, "some begin where others end"


def test_the_last_seeds_are_trained_together_one_for_each_core(tmp_path: Path) -> None:
    said = Workplace(tmp_path / "seeds", tiny_study() | {"seeds": [7, 0]}).run("records", cores=2)
    begun = re.findall(r"^Job \d+: Train epochs (\d+) to \d of \S+ seed (\d)", said, re.MULTILINE)
    first = [seed for start, seed in begun if start == "1"]
    assert {start for start, _ in begun[: len(first)]} == {"1"}, "no long way is begun late"
    assert set(first) == {"7", "0"}


def test_through_a_cluster_the_same_bytes_also_if_the_study_is_edited_meanwhile(
    done: Workplace, tmp_path: Path
) -> None:
    """The profile of Slurm, with a shell as the queue: each segment is a job that reads the Snakefile again, and there are no cores."""
    other = Workplace(tmp_path / "cluster")
    edit = "sed -i 's/^seeds:.*/seeds: [8]/; s/^- 0$//; s/learning_rate: 0.01$/learning_rate: 0.02/' tiny.yaml"
    (tmp_path / "submit").write_text(f'#!/bin/sh\n{edit}\nsh "$1" > "$1.said" 2>&1 &\necho $!\n')
    command = [*SNAKEMAKE, "records", "--configfile", "tiny.yaml", "--workflow-profile", "profiles/slurm"]
    command += ["--executor", "cluster-generic", "--cluster-generic-submit-cmd", f"sh {tmp_path / 'submit'}"]
    status, said = other.attempt(*command, "--seconds-between-status-checks", "1")
    assert status == 0, said
    assert "seeds: [8]" in (other.folder / "tiny.yaml").read_text()
    assert len(re.findall(r"^Submitted job \d+ with external jobid", said, re.MULTILINE)) == 6, "prepare and 5 segments"
    assert records_of(other) == records_of(done)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_fresh_clone_trains_nothing_whatever_the_times(done: Workplace, tmp_path: Path, seed: int) -> None:
    clone = done.clone(tmp_path / "clone", seed)
    planned = clone.planned()
    assert "segment" not in planned
    assert "record" not in planned
    assert "prepare" not in planned
    if seed == 1:
        clone.run("results/tiny/summary.csv", "results/tiny/README.md")
        assert clone.files() == done.files()


def test_an_edited_variant_trains_alone_and_no_table_shows_the_old_number(clone: Workplace, done: Workplace) -> None:
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
    clone.run("results/tiny/summary.csv")
    assert _summaries(clone) == _summaries(done)


def _summaries(*workplaces: Workplace) -> list[str]:
    return [(workplace.results / "summary.csv").read_text() for workplace in workplaces]


def test_tables_that_no_page_shows_yet_are_made_once(done: Workplace, tmp_path: Path) -> None:
    clone = done.clone(tmp_path / "clone", 6)
    (clone.results / "README.md").unlink()
    assert clone.planned("figures")["collect"] == 1, "nothing says yet that they are of these records"
    clone.run("figures")
    assert clone.planned("figures") == {}
    assert clone.planned("readme") == {"readme": 1, "write_readme": 1, "total": 2}
    next((clone.results / "figures").glob("*.svg")).unlink()
    assert clone.planned("figures")["draw"] == 1


@pytest.mark.parametrize("target", ["all", "results/tiny/summary.csv", "tiny", "results/tiny/README.md"])
def test_a_deleted_record_is_made_again_by_its_own_segments(clone: Workplace, target: str) -> None:
    for path in (clone.results / "records" / "batch_res_late").glob("*.csv"):
        path.unlink()
    planned = clone.planned(target)
    assert planned["segment"] == 2  # the benchmark's first two epochs, and its own last
    assert planned["record"] == 1
    assert planned["collect"] == 1


def test_a_further_seed_trains_alone(clone: Workplace) -> None:
    clone.study["variants"]["lr_0.1"] = {"seeds": [0, 7]}
    clone.save()
    planned = clone.planned()
    assert planned["segment"] == 1
    assert planned["record"] == 1


def test_a_renamed_variant_trains_nothing(clone: Workplace, done: Workplace) -> None:
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


def test_a_stage_a_variant_and_a_path_are_targets(clone: Workplace, done: Workplace) -> None:
    assert clone.planned("data") == {"data": 1, "prepare": 1, "total": 2}
    for path in (clone.results / "records").glob("*/*.csv"):
        path.unlink()
    assert clone.planned("batch_res_late")["record"] == 1
    path = next((done.results / "records" / "benchmark").glob("*.csv")).relative_to(done.folder)
    assert clone.planned(str(path))["record"] == 1


def records_of(place: Workplace) -> dict[str, bytes]:
    return {name: content for name, content in place.files().items() if name.startswith("records/")}


NO_PROFILE = ("--workflow-profile", "none")


@pytest.mark.parametrize(
    "options",
    [
        ("--forceall", *NO_PROFILE),
        ("-R", "record", "segment", "--rerun-incomplete"),
        ("--touch", "--forceall"),
        ("--delete-all-output", *NO_PROFILE),
        ("--until", "record", "--forceall", "--drop-metadata"),
    ],
)
def test_nothing_that_is_typed_changes_a_whole_record(clone: Workplace, options: tuple[str, ...]) -> None:
    before = records_of(clone)
    paths = [str(path.relative_to(clone.folder)) for path in (clone.results / "records").glob("benchmark/*")]
    deletes = "--delete-all-output" in options
    for targets in ((), ("records",), tuple(paths)):
        if targets or deletes:  # forcing the cheap stages takes long
            status, said = clone.attempt(*clone.command(*targets, options=options))
            assert status == deletes, said
            assert not deletes or "--delete-all-output would delete records" in said
        assert records_of(clone) == before
    status, said = clone.attempt(*clone.command(options=("-R", *paths, "--force", "records")))
    assert records_of(clone) == before, said


def test_a_damaged_record_is_named_and_trained_again_when_forced(clone: Workplace, done: Workplace) -> None:
    (path,) = (clone.results / "records" / "batch_res_late").glob("*.csv")
    path.write_text(path.read_text()[:100])
    status, said = clone.attempt(*clone.command())
    assert status == 1
    assert f"error: {path.relative_to(clone.folder)}" in said
    assert not list((clone.folder / "work").glob("states/*")), "it must not train unasked"
    trainer = clone.folder / "src" / "temporal_shortcuts" / "training" / "trainer.py"
    text = trainer.read_text()
    trainer.write_text(text + "\nraise RuntimeError('broken on purpose')\n")
    assert clone.attempt(*clone.command("records", options=("-R", "record")))[0] == 1
    assert len(path.read_text()) == 100, "what was there goes only when there is something whole"
    trainer.write_text(text)
    clone.run("records", options=("-R", "record"))
    assert records_of(clone) == records_of(done)


# -- what is asked, and what is started twice ------------------------------------------------------------------------------


def test_a_dry_run_writes_nothing_and_plans_what_an_edit_needs(clone: Workplace) -> None:
    clone.study["title"] = "Another title"
    clone.save()
    before = {path: path.stat().st_mtime_ns for path in clone.folder.rglob("*") if ".snakemake" not in path.parts}
    assert {"collect", "write_readme"} <= clone.planned().keys()
    clone.attempt(*clone.command(options=("--summary",)))
    after = {path: path.stat().st_mtime_ns for path in clone.folder.rglob("*") if ".snakemake" not in path.parts}
    folders = {clone.folder, *(path for path in after if path.name == "__pycache__" or "__pycache__" in path.parts)}
    same = {path for path in after if path.parent not in folders and path not in folders and path.is_file()}
    assert {path: after[path] for path in same} == {path: before.get(path) for path in same}


def test_touching_an_edited_study_hides_no_stale_table(clone: Workplace) -> None:
    clone.study["variants"]["lr_0.1"] = {"label": "fast"}
    clone.save()
    clone.attempt(*clone.command(options=("--touch", "--forceall")))
    assert clone.planned()["collect"] == 1


def test_tables_of_the_study_as_it_was_are_made_again_whatever_the_times(clone: Workplace, tmp_path: Path) -> None:
    """Asked for records alone, Snakemake brings study.json up to date and no table; a commit and a clone forget what is older."""
    clone.study["margin"] = 0.7
    clone.study["variants"]["lr_0.1"] = {"learning_rate": 0.05}
    clone.save()
    clone.run("records")
    assert '"margin": 0.7' in (clone.results / "study.json").read_text()
    fresh = clone.clone(tmp_path / "fresh", 16)
    assert {"collect", "analyse", "write_readme"} <= fresh.planned().keys()
    fresh.run("results/tiny/README.md")
    assert "write_readme" not in fresh.planned("results/tiny/README.md")


@pytest.mark.parametrize("name", ["figures/forest.svg", "stability.csv", "declared.json"])
def test_what_is_not_of_these_records_is_made_again_also_in_a_zip(clone: Workplace, done: Workplace, name: str) -> None:
    """In a ZIP of the repository all times are equal: one old figure beside a new README cannot be told by them."""

    def set_times() -> None:
        for path in clone.folder.rglob("*"):
            if ".snakemake" not in path.parts:
                os.utime(path, (1_700_000_000, 1_700_000_000))

    set_times()
    assert clone.planned() == {}, "what is of these records is known by its content too"
    path = clone.results / name
    path.write_text(path.read_text().replace("1", "2") + " ")
    set_times()
    assert {"collect", "draw", "write_readme"} <= clone.planned().keys()
    clone.run()
    changed = {file for file, content in done.files().items() if clone.files()[file] != content}
    assert changed == ({"declared.json", "README.md"} if name == "declared.json" else set())
    assert clone.planned() == {}


def test_touch_of_what_was_never_made_is_one_sentence(tmp_path: Path) -> None:
    place = Workplace(tmp_path / "place")
    status, said = place.attempt(*place.command(options=("--touch",)))
    assert status == 2
    assert re.match(r"error: (work|results)/\S+ is not made yet", said.splitlines()[-1])
    assert "--touch only marks what is there; run the same command without it" in said
    assert not place.results.exists()


def test_a_study_for_a_gpu_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    study = tiny_study()
    study["protocol"]["device"] = "cuda"
    place = Workplace(tmp_path / "place", study)
    (place.folder / "studies").mkdir()
    (place.folder / "studies" / "small.yaml").write_text(
        "study: small\nextends: ../config.yaml\nprotocol: {device: cpu}\n"
    )
    (place.folder / "studies" / "wrong.yaml").write_text("nothing: 3\n")
    status, said = place.attempt(*place.command(), CUDA_VISIBLE_DEVICES="")
    assert status == 2
    assert "protocol.device of the study tiny is cuda, but torch finds no GPU here" in said
    assert said.rstrip().endswith("a study that runs on a CPU, such as studies/small.yaml.")
    assert not (place.folder / "work" / "data").exists()
    assert place.planned()["segment"] > 0, "asking is allowed"


# -- many studies ----------------------------------------------------------------------------------------------------------


def test_every_finished_study_and_the_front_page_are_brought_up_to_date_without_training(
    clone: Workplace, done: Workplace
) -> None:
    studies = clone.folder / "studies"
    studies.mkdir()
    (clone.folder / "tiny.yaml").rename(studies / "tiny.yaml")
    (studies / "tiny.yaml").write_text((studies / "tiny.yaml").read_text().replace("extends: c", "extends: ../c"))
    (studies / "other.yaml").write_text("study: other\nextends: tiny.yaml\nseeds: [5]\n")
    text = '{{ accuracy("tiny", "lr_0.1", "best") }}'
    (clone.folder / "README.in.md").write_text(text)
    (clone.folder / "README.md").write_text("an old number")
    for path in (clone.folder / "README.md", clone.folder / "README.in.md"):
        os.utime(path, (1_600_000_000, 1_600_000_000))  # of one age, and older than what is made of it
    for table in clone.results.glob("*.csv"):
        table.unlink()  # as where a job failed: what is shown of them is made in the same go
    command = [*SNAKEMAKE, "--cores", "2"]
    status, said = clone.attempt(*command, "tables")
    assert status == 0, said
    assert clone.files() == done.files()
    best = next(csv.DictReader((clone.results / "summary.csv").read_text().splitlines()))
    assert re.search(r"\d+\.\d\d\s%", (clone.folder / "README.md").read_text()), best
    assert not (clone.folder / "results" / "other").exists(), "it has no records"
    status, said = clone.attempt(*command, "-n", "tables")
    assert "Nothing to be done" in said
    page = (clone.folder / "README.md").read_bytes()
    (clone.folder / "README.in.md").write_text(text.replace("tiny", "tini"))
    status, said = clone.attempt(*command, "tables")
    assert status == 1
    assert "README.in.md, line 1: there are no tables of a study 'tini' in results (did you mean 'tiny'?)" in said
    assert (clone.folder / "README.md").read_bytes() == page, "a slip deletes nothing"
    (clone.folder / "README.in.md").unlink()
    status, said = clone.attempt(*command, "-n", "other/lr_0.1", "tiny/lr_0.1")
    assert re.search(r"^segment +1$", said, re.MULTILINE), said
    next((clone.results / "records").glob("lr_0.1/*.csv")).unlink()
    status, said = clone.attempt(*command, "-n", "tables")
    assert status == 2
    assert "1 of 4 records are missing (records/lr_0.1/" in said
    assert "`snakemake --cores 2 --configfile studies/tiny.yaml`" in said


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("protocol: {epochs: 3}\n", "studies/x.yaml: the key 'study' is missing; add it"),
        ("- a list\n", "studies/x.yaml: found ['a list'], but a study must be a mapping of keys"),
        ("study: tiny\nextends: ../tiny.yaml\n", "tiny.yaml: study: found 'tiny', as in studies/x.yaml; rename one"),
    ],
)
def test_a_broken_file_beside_a_study_stops_only_who_asks_for_it(tmp_path: Path, text: str, sentence: str) -> None:
    place = Workplace(tmp_path / "place")
    (place.folder / "studies").mkdir()
    (place.folder / "studies" / "x.yaml").write_text(text)
    same = "as in" in sentence
    status, said = place.attempt(*place.command(options=("-n",)))
    assert status == (2 if same else 0), said
    for target in ("tables", "x"):
        status, said = place.attempt(*place.command(target, options=("-n",)))
        assert status == 2
        assert f"error: {sentence}" in said
        assert "Traceback" not in said


def test_a_finished_study_can_be_typed_and_no_target_is_a_record(done: Workplace) -> None:
    status, said = done.attempt(*SNAKEMAKE, "--list-target-rules", "--configfile", "tiny.yaml")
    assert status == 0, said
    listed = {line.split()[0] for line in said.splitlines() if line and line[0].isalnum()}
    assert {"tiny", "tiny/lr_0.1", "lr_0.1", "page/tiny", "crate/tiny", "tables", "published", "all"} <= listed
    assert not [name for name in listed if "seed" in name]


def test_killed_at_random_instants_it_ends_with_the_same_bytes(done: Workplace, tmp_path: Path) -> None:
    """SIGKILL to Snakemake alone, or to it and its jobs, then the same command again; at last it runs to its end."""
    other = Workplace(tmp_path / "killed", preloaded=False)
    chance = random.Random(9)
    for alone in (True, False, True):
        process = subprocess.Popen(
            other.command(options=("--quiet", "all")), cwd=other.folder, env=other.environment(), start_new_session=True
        )
        time.sleep(chance.uniform(5, 14))
        if alone:
            process.kill()  # its jobs go on, and the next Snakemake meets them
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    other.preloaded = True  # nothing is killed any more
    other.run()
    assert other.files() == done.files()


def test_files_are_made_by_one_process_at_a_time_and_given_back_by_a_kill(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from temporal_shortcuts import folders; "
        "folders.hold_files(sys.argv[2:], Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
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


def test_the_two_kinds_of_lock_are_on_different_files(tmp_path: Path) -> None:
    """NFS makes one kind of the two, so on one file a process would be in its own way."""
    folders.hold_files([tmp_path / "a"], tmp_path)
    with (tmp_path / "making").open() as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_two_snakemakes_at_once_do_not_harm_each_other(done: Workplace, tmp_path: Path) -> None:
    other = Workplace(tmp_path / "twice")
    targets = ("benchmark", "lr_0.1")
    command = other.command(*targets, cores=1, options=("--quiet", "all"))
    both = [subprocess.Popen(command, cwd=other.folder, env=other.environment()) for _ in range(2)]
    assert 0 in [process.wait() for process in both]
    other.run(*targets)
    of_both = {name: content for name, content in records_of(done).items() if name.split("/")[1] in targets}
    assert records_of(other) == of_both


def test_verify_trains_again_and_finds_a_changed_digit(done: Workplace, tmp_path: Path) -> None:
    place = done.copy(tmp_path / "copy")
    (place.folder / "studies").mkdir()
    text = (place.folder / "tiny.yaml").read_text()
    (place.folder / "studies" / "tiny.yaml").write_text(text.replace("extends: config", "extends: ../config"))
    command = [sys.executable, "workflow/scripts/verify.py", "--study", "results/tiny/study.json"]
    command += ["--folder", "build/verify", "lr_0.1/seed0"]
    status, said = place.attempt(*command)
    assert status == 0, said
    assert "1 of 1 records equal the committed ones byte for byte" in said
    assert len(list((place.folder / "build").glob("verify/results/tiny/records/*/*.csv"))) == 1, (
        "it trains what is asked"
    )
    (record,) = (place.results / "records" / "lr_0.1").glob("*.csv")
    record.write_text(record.read_text()[:-2] + "7\n")
    status, said = place.attempt(*command)
    assert status == 1
    assert f"different {record.relative_to(place.folder)}: from line 4 on" in said
    status, said = place.attempt(*command[:-1], "lr_0.1/seed9")
    assert (status, said.count("\n")) == (2, 1)
    assert "results/tiny/study.json has no run 'lr_0.1/seed9': name variants, or <variant>/seed<k>." in said
