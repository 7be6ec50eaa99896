"""The archive of a study: a whole, true and deterministic RO-Crate that is a working clone once it is unpacked."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import zipfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import programs
import pytest
import yaml
from rocrate.rocrate import ROCrate

from temporal_shortcuts.analysis import records
from temporal_shortcuts.catalogue import catalogue
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.report import crate as crates
from temporal_shortcuts.study import load_resolved

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "results" / "demo"
VALIDATOR = shutil.which("rocrate-validator")
PARTS = ("Snakefile", "config.yaml", "config", "CITATION.cff", "README.md", "workflow", "profiles", "envs", "src")


def clone(folder: Path) -> Path:
    """The repository with the demo as its only study."""
    programs.copy_parts(folder, PARTS)
    (folder / "studies").mkdir()
    shutil.copy(ROOT / "studies" / "demo.yaml", folder / "studies")
    shutil.copytree(DEMO, folder / "results" / "demo")
    return folder


def pack(root: Path, path: Path) -> Path:
    results = root / "results" / "demo"
    tables = [*results.glob("*.*"), *results.glob("figures/*")]
    names = ("Snakefile", "CITATION.cff", "README.md", "studies/demo.yaml", "workflow/scripts/train.py")
    sources = [root / name for name in names]
    crates.write_crate(load_resolved(results / "study.json"), results, tables, root, sources, path)
    return path


@pytest.fixture(scope="module")
def crate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's archive, unpacked."""
    folder = tmp_path_factory.mktemp("crate")
    with zipfile.ZipFile(pack(clone(folder / "clone"), folder / "demo.zip")) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


@pytest.fixture(scope="module")
def graph(crate: Path) -> dict[str, dict[str, Any]]:
    """The entities of the metadata by their identifier."""
    metadata = json.loads((crate / "ro-crate-metadata.json").read_text(encoding="utf-8"))
    entities = {entity["@id"]: entity for entity in metadata["@graph"]}
    assert len(entities) == len(metadata["@graph"])
    return entities


def references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [one for part in value for one in references(part)]
    return [value["@id"]] if isinstance(value, dict) else []


def test_equal_results_give_equal_bytes_wherever_and_whenever(tmp_path: Path) -> None:
    first = pack(clone(tmp_path / "one"), tmp_path / "one.zip")
    other = clone(tmp_path / "elsewhere")
    for path in other.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    assert pack(other, tmp_path / "two.zip").read_bytes() == first.read_bytes()


def test_each_file_is_described_as_it_is_and_no_other(crate: Path, graph: dict[str, dict[str, Any]]) -> None:
    there = {path.relative_to(crate).as_posix() for path in crate.rglob("*") if path.is_file()}
    described = {name: entity for name, entity in graph.items() if "File" in entity["@type"]}
    assert set(described) | {"ro-crate-metadata.json"} == there
    for name, entity in described.items():
        content = (crate / name).read_bytes()
        assert entity["sha256"] == hashlib.sha256(content).hexdigest(), name
        assert entity["contentSize"] == str(len(content)), name
    assert set(references(graph["./"]["hasPart"])) == set(described)


def test_the_metadata_is_an_ro_crate_of_version_1_1(crate: Path, graph: dict[str, dict[str, Any]]) -> None:
    descriptor, root = graph["ro-crate-metadata.json"], graph["./"]
    assert {"@id": "https://w3id.org/ro/crate/1.1"} in descriptor["conformsTo"]
    assert descriptor["about"] == {"@id": "./"}
    assert root["@type"] == "Dataset"
    assert root["datePublished"] == str(yaml.safe_load((ROOT / "CITATION.cff").read_text())["date-released"])
    for key in ("name", "description", "license", "author"):
        assert root[key]
    for entity in graph.values():
        for key, value in entity.items():
            for reference in references(value):
                assert reference in graph or reference.startswith("https://"), (entity["@id"], key, reference)


def test_each_term_is_defined(graph: dict[str, dict[str, Any]]) -> None:
    defined = json.loads((files("rocrate") / "data" / "ro-crate.jsonld").read_text(encoding="utf-8"))["@context"]
    used = {key for entity in graph.values() for key in entity} - {"@id", "@type"}
    assert not used - set(defined) - set(crates.TERMS)


def test_each_run_is_an_action_with_its_environment_and_its_record(graph: dict[str, dict[str, Any]]) -> None:
    study = load_resolved(DEMO / "study.json")
    for run in study.runs:
        action = graph[f"#run-{run.variant}-seed{run.seed}-{run.fingerprint}"]
        sidecar = records.sidecar(DEMO / run.record)
        assert sidecar["weights"]["final"] in action["description"]
        assert references(action["result"]) == [f"results/demo/{name}" for name in run.record_files]
        (trainer,) = references(action["instrument"])
        assert f"torch {sidecar['environments'][0]['torch']}" in graph[trainer]["softwareRequirements"]
    assert len([one for one in graph.values() if one["@type"] == "CreateAction"]) == len(study.runs) + 1


def test_rocrate_reads_it(crate: Path) -> None:
    read = ROCrate(crate)
    assert read.mainEntity.id == "Snakefile"
    assert "ComputationalWorkflow" in read.mainEntity.type
    assert read.mainEntity["programmingLanguage"]["name"] == "Snakemake"


@pytest.mark.slow
@pytest.mark.skipif(VALIDATOR is None, reason="no rocrate-validator is installed (pipx install roc-validator)")
@pytest.mark.parametrize("profile", ["ro-crate-1.1", "workflow-ro-crate-1.0", "workflow-run-crate-0.5"])
def test_the_validator_passes_it(crate: Path, profile: str) -> None:
    """It needs a network, for the definitions of terms; and it cannot be locked beside Snakemake, for an older rich."""
    command = [str(VALIDATOR), "-y", "validate", "-p", profile, "-l", "required", "--no-paging", "-v", str(crate)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("content", [b"title: [", b"- a list", b"title: \xff"])
def test_a_citation_that_is_no_yaml_is_refused(tmp_path: Path, content: bytes) -> None:
    root = clone(tmp_path / "clone")
    (root / "CITATION.cff").write_bytes(content)
    with pytest.raises(UserError, match=r"CITATION.cff (cannot be read as YAML|has no 'title')"):
        pack(root, tmp_path / "crate.zip")
    assert not (tmp_path / "crate.zip").exists()


def entities(archive: Path) -> dict[str, dict[str, Any]]:
    with zipfile.ZipFile(archive) as opened:
        metadata = json.loads(opened.read("ro-crate-metadata.json"))
    return {entity["@id"]: entity for entity in metadata["@graph"]}


def cited(root: Path, **changes: Any) -> Path:
    citation = yaml.safe_load((root / "CITATION.cff").read_text()) | changes
    (root / "CITATION.cff").write_text(yaml.safe_dump(citation, sort_keys=False))
    return root


LUDWIG = {"given-names": "Ludwig", "name-particle": "van", "family-names": "Beethoven", "name-suffix": "Jr."}


def test_every_author_is_named_once_and_whole_with_each_licence(tmp_path: Path) -> None:
    orcid = "https://orcid.org/0000-0001-2345-678X"
    authors = [
        LUDWIG | {"website": "https://example.org"},
        {"name": "A group", "website": "https://example.org"},
        {"alias": "somebody"},
        {"family-names": "Noether", "alias": "emmy", "orcid": orcid, "website": "https://noether.example.org"},
        {"family-names": "Gauß", "website": "https://gauss.example.org"},
    ]
    root = cited(clone(tmp_path / "clone"), authors=authors, license=["MIT", "Apache-2.0"])
    graph = entities(pack(root, tmp_path / "crate.zip"))
    named = [graph[name] for name in references(graph["./"]["author"])]
    names = ["Ludwig van Beethoven Jr.", "A group", "somebody", "Noether", "Gauß"]
    assert [author["name"] for author in named] == names
    assert [author["@type"] for author in named] == ["Person", "Organization", "Person", "Person", "Person"]
    assert [author["@id"] for author in named[2:]] == ["#author-3", orcid, "#author-5"]
    assert [author.get("url") for author in named[:2]] == ["https://example.org"] * 2, "one website of two authors"
    assert (named[3]["alternateName"], named[3]["url"]) == ("emmy", "https://noether.example.org")
    assert references(graph["./"]["license"]) == [f"https://spdx.org/licenses/{name}" for name in ("MIT", "Apache-2.0")]
    assert references(graph["Snakefile"]["creator"]) == references(graph["./"]["author"])
    assert references(graph["Snakefile"]["license"]) == references(graph["./"]["license"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"authors": [LUDWIG, {"affiliation": "a place"}]}, "authors.1: it has no name"),
        ({"authors": [LUDWIG | {"orcid": "0000-0001-2345-6789"}]}, "authors.0.orcid: found '0000-0001-2345-6789'"),
        (
            {"authors": [LUDWIG | {"orcid": "https://orcid.org/0000-0001-2345-6789"}] * 2},
            "authors.1: found https://orcid",
        ),
        ({"authors": LUDWIG}, "authors: it must be a list"),
        *(({key: None}, f"CITATION.cff has no '{key}'") for key in ("version", "date-released", "authors")),
        ({"authors": ["Ludwig van Beethoven"]}, "authors: it must be a list"),
        ({"license": "MIT OR Apache-2.0"}, "license: found 'MIT OR Apache-2.0'"),
        ({"license": ["MIT", "the licence of my house"]}, "license: found 'the licence of my house'"),
    ],
)
def test_an_author_or_licence_that_would_be_lost_is_refused(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    root = cited(clone(tmp_path / "clone"), **changes)
    with pytest.raises(UserError, match=re.escape(words)):
        pack(root, tmp_path / "crate.zip")
    assert not (tmp_path / "crate.zip").exists()


def test_it_packs_the_studys_own_file_and_what_that_extends(tmp_path: Path) -> None:
    """Not what else lies in studies/ or in the root, finished or not."""
    root = clone(tmp_path / "clone")
    own, middle = root / "studies" / "demo.yaml", root / "studies" / "middle.yaml"
    own.write_text(own.read_text().replace("extends: ../config.yaml", "extends: middle.yaml"))
    middle.write_text("study: middle\nextends: ../config.yaml\n")
    (root / "studies" / "secret.yaml").write_text("study: secret\n")
    (root / "studies" / "broken.yaml").write_text("study: [\n")
    (root / "mine.yaml").write_text("study: mine\n")
    own.with_suffix(".md").write_text("What it says\n")
    (root / "studies" / "secret.md").write_text("What nobody is to read yet\n")
    (root / "README.in.md").write_text("{{ several }}\n")
    packed = catalogue(root).archived(root, "demo")
    studies = {path.relative_to(root).as_posix() for path in packed if path.suffix in (".yaml", ".md")}
    ours = {"config.yaml", "studies/demo.yaml", "studies/demo.md", "studies/middle.yaml", "README.md"}
    assert {name for name in studies if "/" not in name or name.startswith("studies/")} == ours
    assert {root / "Snakefile", root / "workflow/scripts/train.py", root / "CITATION.cff"} <= set(packed)


def test_keywords_and_images_are_the_studys(graph: dict[str, dict[str, Any]]) -> None:
    assert "CIFAR-10" not in graph["./"]["keywords"]
    assert "digits (scikit-learn)" in graph["./"]["keywords"]
    assert graph["#images"]["name"] == "digits (scikit-learn)"
    declared = graph["results/demo/declared.json"]
    assert "declared before" in declared["description"]


@pytest.mark.slow
def test_unpacked_it_is_a_clone_that_trains_nothing(tmp_path: Path) -> None:
    root, unpacked = clone(tmp_path / "clone"), tmp_path / "unpacked"
    snakemake(root, "page", "crate")
    assert (root / "build" / "demo.html").is_file()
    with zipfile.ZipFile(root / "build" / "demo-crate.zip") as archive:
        archive.extractall(unpacked)
    assert "segment" not in snakemake(unpacked, "-n")
    before = {path: path.read_bytes() for path in (unpacked / "results").rglob("[!.]*") if path.is_file()}
    snakemake(unpacked, "tables", "--forcerun", "collect", "analyse")
    assert {path: path.read_bytes() for path in (unpacked / "results").rglob("[!.]*") if path.is_file()} == before


def snakemake(folder: Path, *targets: str) -> str:
    done = programs.run(folder, "-m", "snakemake", *targets, "--cores", "1", "--configfile", "studies/demo.yaml")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout + done.stderr
