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


def test_through_a_cluster_the_same_bytes(done: Workplace, tmp_path: Path) -> None:
    """The profile of Slurm, with a shell as the queue: each segment is a job that reads the Snakefile again, and there are no cores."""
    other = Workplace(tmp_path / "cluster")
    shell = 'sh -c \'sh "$0" > "$0.said" 2>&1 & echo $!\''
    command = [*SNAKEMAKE, "records", "--configfile", "tiny.yaml", "--workflow-profile", "profiles/slurm"]
    command += ["--executor", "cluster-generic", "--cluster-generic-submit-cmd", shell]
    status, said = other.attempt(*command, "--seconds-between-status-checks", "1")
    assert status == 0, said
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
    clone.run("results/tiny/summary.csv")
    assert _summaries(clone) == _summaries(done)


def _summaries(*workplaces: Workplace) -> list[str]:
    return [(workplace.results / "summary.csv").read_text() for workplace in workplaces]


@pytest.mark.parametrize("target", ["all", "results/tiny/summary.csv", "tables", "results/tiny/README.md"])
def test_a_deleted_record_is_made_again_by_its_own_segments(done: Workplace, tmp_path: Path, target: str) -> None:
    clone = done.clone(tmp_path / "clone", 5)
    for path in (clone.results / "records" / "batch_res_late").glob("*.csv"):
        path.unlink()
    planned = clone.planned(target)
    assert planned["segment"] == 2  # the benchmark's first two epochs, and its own last
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


def records_of(place: Workplace) -> dict[str, bytes]:
    return {name: content for name, content in place.files().items() if name.startswith("records/")}


def records_and_times(place: Workplace) -> dict[str, tuple[bytes, int]]:
    return {name: (content, (place.results / name).stat().st_mtime_ns) for name, content in records_of(place).items()}


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
def test_nothing_that_is_typed_changes_a_whole_record(
    done: Workplace, tmp_path: Path, options: tuple[str, ...]
) -> None:
    clone = done.clone(tmp_path / "clone", 10)
    before = records_and_times(clone)
    paths = [str(path.relative_to(clone.folder)) for path in (clone.results / "records").glob("benchmark/*")]
    for targets in ((), ("records",), tuple(paths)):
        if targets or "--delete-all-output" in options:  # forcing the cheap stages takes long
            status, said = clone.attempt(*clone.command(*targets, options=options))
            assert status == 0, said
        assert records_and_times(clone) == before
    status, said = clone.attempt(*clone.command(options=("-R", *paths, "--force", "records")))
    assert records_and_times(clone) == before, said


def test_a_damaged_record_is_named_and_trained_again_when_forced(done: Workplace, tmp_path: Path) -> None:
    clone = done.clone(tmp_path / "clone", 11)
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


def test_a_dry_run_writes_nothing_and_plans_what_an_edit_needs(done: Workplace, tmp_path: Path) -> None:
    clone = done.clone(tmp_path / "clone", 12)
    clone.study["title"] = "Another title"
    clone.save()
    before = {path: path.stat().st_mtime_ns for path in clone.folder.rglob("*") if ".snakemake" not in path.parts}
    assert {"study", "collect", "write_readme"} <= clone.planned().keys()
    clone.attempt(*clone.command(options=("--summary",)))
    after = {path: path.stat().st_mtime_ns for path in clone.folder.rglob("*") if ".snakemake" not in path.parts}
    folders = {clone.folder, *(path for path in after if path.name == "__pycache__" or "__pycache__" in path.parts)}
    same = {path for path in after if path.parent not in folders and path not in folders and path.is_file()}
    assert {path: after[path] for path in same} == {path: before.get(path) for path in same}


def test_touching_an_edited_study_hides_no_stale_table(done: Workplace, tmp_path: Path) -> None:
    clone = done.clone(tmp_path / "clone", 13)
    clone.study["variants"]["lr_0.1"] = {"label": "fast"}
    clone.save()
    clone.attempt(*clone.command(options=("--touch", "--forceall")))
    assert clone.planned()["collect"] == 1


def test_tables_of_the_study_as_it_was_are_made_again_whatever_the_times(done: Workplace, tmp_path: Path) -> None:
    """Asked for records alone, Snakemake brings study.json up to date and no table; a commit and a clone forget what is older."""
    clone = done.clone(tmp_path / "clone", 15)
    clone.study["margin"] = 0.7
    clone.study["variants"]["lr_0.1"] = {"learning_rate": 0.05}
    clone.save()
    clone.run("records")
    assert '"margin": 0.7' in (clone.results / "study.json").read_text()
    fresh = clone.clone(tmp_path / "fresh", 16)
    assert {"collect", "analyse", "write_readme"} <= fresh.planned().keys()
    fresh.run("results/tiny/README.md")
    assert "write_readme" not in fresh.planned("results/tiny/README.md")


def test_a_study_is_kept_while_it_runs_and_others_may_run_it_too(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from temporal_shortcuts import errors, folders; "
        "errors.main(lambda: folders.hold_study(Path('study.json'), Path(sys.argv[1]), edited=sys.argv[2] == 'edited')); "
        "print('held', flush=True); time.sleep(60)"
    )

    def run(how: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code, str(tmp_path), how]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    with run("edited") as first:
        assert first.stdout.readline() == "held\n"
        with run("as it is") as second:
            assert second.stdout.readline() == "held\n", "what the first has written, others can run too"
            with run("edited") as third:
                said = third.communicate()[1]
                assert (
                    "study.json: another Snakemake runs this study as it was before; wait until that has ended" in said
                )
                assert third.returncode == 2
            second.kill()
        first.kill()
    with run("edited") as last:
        assert last.stdout.readline() == "held\n"
        last.kill()


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


# -- the repository's README ---------------------------------------------------------------------------------------------


def test_the_default_target_brings_the_front_page_up_to_date(done: Workplace, tmp_path: Path) -> None:
    clone = done.copy(tmp_path / "copy")
    page = clone.folder / "README.md"
    page.with_name("README.in.md").write_text('# Here\n\n{{ accuracy("tiny", "benchmark", "last5") }}\n')
    page.write_text("# Here\n\nan old number\n")
    os.utime(page, (1_600_000_000, 1_600_000_000))  # older than what is made of it
    assert clone.planned().keys() == {"front_page", "all", "total"}
    clone.run()
    assert "an old number" not in page.read_text()
    with (clone.results / "summary.csv").open() as file:
        mean = next(float(row["last5_mean"]) for row in csv.DictReader(file) if row["variant"] == "benchmark")
    assert f"{100 * mean:.2f}\N{NO-BREAK SPACE}%" in page.read_text()
    assert clone.planned() == {}
    elsewhere = clone.run(options=("-n", "--config", "results=elsewhere"))
    assert "write_readme" in elsewhere
    assert "front_page " not in elsewhere, "it shows what lies in results/"


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
