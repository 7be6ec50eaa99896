"""The workflow started from elsewhere, in another way, or on a file system that can do less: it runs, or says why not."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import programs
import pytest
import yaml
from tiny_study import Workplace, tiny_study

from temporal_shortcuts import files, folders
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.study import resolve
from temporal_shortcuts.training import devices

SNAKEMAKE = (sys.executable, "-m", "snakemake")
PARENT = """
module study:
    snakefile: "../repo/Snakefile"
{config}

use rule * from study as study_*

rule all:
    default_target: True
    input: rules.study_all.input
"""


def short_study() -> dict[str, object]:
    """One segment."""
    study = tiny_study()
    study["variants"] |= dict.fromkeys(
        ("lr_0.1", "batch_res_start", "epoch_res_start", "batch_res_late", "epoch_res_late")
    )
    return study | {"protocol": study["protocol"] | {"epochs": 1}}


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A clone in which the study is finished."""
    place = Workplace(tmp_path_factory.mktemp("elsewhere") / "repo", short_study())
    place.run("results/tiny/summary.csv")
    return place


def attempt(folder: Path, *command: str, preloaded: bool = True, **environment: str) -> tuple[int, str]:
    """Exit status and what is said, without the package on the path or an activated environment."""
    kept = programs.environment(folder, preloaded=preloaded)
    kept["PYTHONPATH"] = str(programs.PRELOAD) if preloaded else ""
    kept["PATH"] = os.pathsep.join(part for part in os.defpath.split(os.pathsep) if part)
    kept.pop("VIRTUAL_ENV", None)
    done = subprocess.run(
        command, cwd=folder, env=kept | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.returncode, done.stdout


def results(folder: Path) -> dict[str, bytes]:
    return Workplace(folder, new=False).files()


@pytest.fixture
def elsewhere(repo: Workplace) -> Path:
    folder = repo.folder.parent / "other"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


@pytest.mark.parametrize("config", ["", "    config: config['nested']"])
def test_as_a_module_of_another_workflow(repo: Workplace, elsewhere: Path, config: str) -> None:
    (elsewhere / "Snakefile").write_text(
        ("configfile: 'parent.yaml'\n" if config else "") + PARENT.format(config=config)
    )
    text = (repo.folder / "tiny.yaml").read_text().replace("extends: config.yaml", "extends: ../repo/config.yaml")
    (elsewhere / "parent.yaml").write_text("nested:\n" + "".join(f"  {line}\n" for line in text.splitlines()))
    given = () if config else ("--configfile", str(repo.folder / "tiny.yaml"))
    status, said = attempt(elsewhere, *SNAKEMAKE, "results/tiny/summary.csv", "--cores", "1", *given)
    assert status == 0, said[-3000:]
    assert results(elsewhere) == results(repo.folder)
    status, said = attempt(elsewhere, *SNAKEMAKE, "study_records", "--forceall", "--cores", "1", *given)
    assert status == 0, said[-3000:]
    assert results(elsewhere) == results(repo.folder)


def test_a_module_with_a_prefix_is_refused(repo: Workplace, elsewhere: Path) -> None:
    (elsewhere / "Snakefile").write_text(PARENT.format(config="    prefix: 'below'"))
    status, said = attempt(elsewhere, *SNAKEMAKE, "-n", "--configfile", str(repo.folder / "tiny.yaml"))
    assert status == 2
    assert "a prefix of the module would place what belongs here in below/results; remove the prefix" in said


def test_with_the_snakefile_of_another_folder(repo: Workplace, elsewhere: Path) -> None:
    command = (*SNAKEMAKE, "-s", "../repo/Snakefile", "--configfile", "../repo/tiny.yaml", "--cores", "1")
    status, said = attempt(elsewhere, *command, "-n")
    assert status == 0, said
    assert [path.name for path in elsewhere.iterdir()] == [".snakemake"]
    status, said = attempt(elsewhere, *command, "--until", "collect")
    assert status == 0, said
    assert results(elsewhere).items() <= results(repo.folder).items()
    status, said = attempt(elsewhere, *command, "-n", "--directory", "../repo", "records")
    assert status == 0, said
    assert "Nothing to be done" in said


@pytest.mark.parametrize("name", ["run{1}", "a{b", "{state}"])
def test_braces_in_the_name_of_a_folder_are_named(repo: Workplace, elsewhere: Path, name: str) -> None:
    folder = elsewhere / name
    shutil.copytree(repo.folder, folder)
    status, said = attempt(folder, *SNAKEMAKE, "-n", "--configfile", "tiny.yaml")
    assert status == 2
    assert f"error: {folder}: Snakemake takes the braces for wildcards; rename the folder" in said


def test_without_activating_the_environment(repo: Workplace, elsewhere: Path) -> None:
    """With a first `python` on the path that is another one."""
    (elsewhere / "python").write_text("#!/bin/sh\nexit 3\n")
    (elsewhere / "python").chmod(0o755)
    path = os.pathsep.join([str(elsewhere), os.defpath])
    command = (*SNAKEMAKE, "--configfile", "tiny.yaml", "--cores", "1", "-R", "collect", "--until", "collect")
    status, said = attempt(repo.folder, *command, preloaded=False, PATH=path)
    assert status == 0, said
    assert "Finished jobid" in said


# -- a file system without locks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
@pytest.mark.parametrize("call", ["flock", "lockf"])
def test_a_file_system_without_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, call, refuse)
    with pytest.raises(
        UserError, match=rf"^{tmp_path}: its file system takes no locks .* local disk \(--config work=DIR"
    ):
        folders.hold_files(["a"], tmp_path)
    if call == "flock":
        with pytest.raises(UserError, match="takes no locks"), files.lock(tmp_path / "lock", print):
            pass
        with pytest.raises(UserError, match="takes no locks"), devices.gpu_slot(["0"], 1, print, tmp_path):
            pass


def test_an_error_of_what_runs_under_a_lock_is_its_own(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no locks at all") as caught, files.lock(tmp_path / "lock", print):
        raise OSError(errno.ENOLCK, "no locks at all")
    assert not isinstance(caught.value, UserError)


# -- what stands after --config --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["records", "benchmark", "all", "results/tiny/metrics.csv"])
def test_seeds_can_be_given_after_config(repo: Workplace, target: str) -> None:
    options = ("-n", "--config", "seeds=[0,1]", "protocol={'width': 4, 'epochs': 2}")
    status, said = repo.attempt(*repo.command(target, options=options))
    assert status == 0, said
    assert {"record 2", "segment 2"} <= {" ".join(line.split()) for line in said.splitlines()}, said


def test_after_an_edit_a_state_and_a_record_can_be_asked_for_by_name(repo: Workplace, elsewhere: Path) -> None:
    """Snakemake passes over a job whose only input that is made anew is ancient()."""
    shutil.copytree(repo.folder, elsewhere / "edited")
    study = short_study() | {"seeds": [5]}
    (elsewhere / "edited" / "tiny.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    run = resolve(study, [str(elsewhere / "edited" / "tiny.yaml")]).runs[0]
    for target in (f"work/states/{run.fingerprint}-final.state", f"results/tiny/{run.record}"):
        status, said = attempt(elsewhere / "edited", *SNAKEMAKE, target, "--cores", "1", "--configfile", "tiny.yaml")
        assert status == 0, said
        assert (elsewhere / "edited" / target).is_file(), said


def test_the_text_beside_a_study_of_configfile_is_shown_as_it_is_now(repo: Workplace, elsewhere: Path) -> None:
    """Written, edited with an older time than the page's, and taken away."""
    place = repo.copy(elsewhere / "copy")
    text, page = place.folder / "tiny.md", place.results / "README.md"
    for said in ("It scores", "It ends at"):
        text.write_text(said + ' {{ accuracy("tiny", "benchmark", "last5") }}.\n')
        os.utime(text, (1, 1))
        place.run("readme")
        assert re.search(rf"^{said} \d+\.\d\d\s%\.$", page.read_text(), re.MULTILINE)
        assert place.planned("readme") == {}
    text.unlink()
    place.run("readme")
    assert "It ends at" not in page.read_text()
