"""A study's archive: an RO-Crate (version 1.1, profile Workflow Run Crate) of its results and the workflow that made them.

It is a zip file with the repository's layout, so that unpacked it is a clone without history: tables regenerate, runs can be trained
again. ro-crate-metadata.json says of each file what it is, with its sha256, and of each run which seed, settings and environment it had.
Equal results and sources give equal bytes: no clock is read, and the date is that of the version in CITATION.cff.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from rocrate.model import ContextEntity
from rocrate.rocrate import ROCrate

from temporal_shortcuts.analysis.tables import read_sidecar
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.files import naming, write_atomically
from temporal_shortcuts.study import Run, Study

SOURCES = ("Snakefile", "config.yaml", "config", "studies", "workflow", "src", "envs", "profiles", "docs")
SOURCES += ("README.md", "README.zh.md", "LICENSE", "CITATION.cff", "CHANGELOG.md", "Makefile", "pyproject.toml")
IGNORED = ("__pycache__", ".pytest_cache", ".ruff_cache")
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
TERMS = "https://w3id.org/ro/terms/workflow-run/context"
"""What defines `sha256` in the metadata."""
FORMATS = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".md": "text/markdown",
    ".npy": "application/x-npy",
    ".py": "text/x-python",
    ".svg": "image/svg+xml",
    ".yaml": "application/yaml",
}
DESCRIPTIONS = {
    "study.json": "the study, resolved: every setting of every variant",
    "metrics.csv": "one row for each run and epoch",
    "runs.csv": "one row for each run",
    "summary.csv": "one row for each variant: mean and standard deviation of each endpoint",
    "stability.csv": "one row for each variant: its stable epoch",
    "comparisons.csv": "paired differences from the reference",
    "image_bootstrap.csv": "differences with test images resampled too",
    "claims.csv": "a verdict for each claim",
}
EPOCH = (1980, 1, 1, 0, 0, 0)


def write_crate(study: Study, folder: Path, repository: Path, path: Path) -> None:
    """Pack the study's results (`folder`) and the repository's sources into an RO-Crate, a zip file at `path`."""
    citation = _citation(repository / "CITATION.cff")
    results = f"results/{study.name}"
    files = {name: repository / name for name in _files(repository, SOURCES)}
    files |= {f"{results}/{name}": folder / name for name in _files(folder, [one.name for one in folder.iterdir()])}
    crate = _described(study, citation)
    for name, source in files.items():
        _add_file(crate, name, source)
    _describe_workflow(crate, citation)
    _add_runs(crate, study, folder, citation)
    with tempfile.TemporaryDirectory() as place:
        crate.write(place)
        write_atomically(path, _zipped(Path(place)))


def _citation(path: Path) -> dict[str, Any]:
    """Title, authors, version and date of the software."""
    with naming(path):
        citation = yaml.safe_load(path.read_text(encoding="utf-8"))
    missing = [key for key in ("title", "authors", "version", "date-released", "license") if not citation.get(key)]
    if missing:
        raise UserError(f"{path} has no {missing[0]!r}, which an archive must name: add it.")
    return citation


def _files(root: Path, names: Any) -> Iterator[str]:
    """Files below `root`, relative to it, in the order of their names; what tools leave there is passed over."""
    for name in sorted(names):
        path = root / name
        for one in sorted(path.rglob("*")) if path.is_dir() else [path]:
            parts = one.relative_to(root).parts
            if one.is_file() and not any(part in IGNORED or part.endswith(".egg-info") for part in parts):
                yield "/".join(parts)


# -- what the metadata says --------------------------------------------------------------------------------------------


def _described(study: Study, citation: Mapping[str, Any]) -> ROCrate:
    """An empty crate with its root's description."""
    resolved = study.resolved
    crate = ROCrate(version="1.1")
    crate.metadata.extra_contexts.append(TERMS)
    crate.name = f"{citation['title']}: {resolved['title']}"
    crate.description = f"{len(study.runs)} runs of the study {study.name!r} at {resolved['scale'].rstrip('.')}."
    crate.datePublished = str(citation["date-released"])
    crate.license = crate.add(
        ContextEntity(
            crate,
            f"https://spdx.org/licenses/{citation['license']}",
            {"@type": "CreativeWork", "name": citation["license"], "description": f"{citation['license']} licence"},
        )
    )
    crate.root_dataset["author"] = [_author(crate, author, at) for at, author in enumerate(citation["authors"])]
    crate.root_dataset["publisher"] = crate.root_dataset["author"][0]
    crate.root_dataset["version"] = str(citation["version"])
    crate.root_dataset["keywords"] = citation.get("keywords", [])
    crate.root_dataset["conformsTo"] = [
        crate.add(
            ContextEntity(crate, url, {"@type": "CreativeWork", "name": name, "version": url.rpartition("/")[2]})
        )
        for url, name in PROFILES.items()
    ]
    return crate


def _author(crate: ROCrate, author: Mapping[str, str], at: int) -> ContextEntity:
    """A person (with an ORCID as its address, where one is given), or a group with one name."""
    name = author.get("name") or f"{author.get('given-names', '')} {author.get('family-names', '')}".strip()
    kind = "Organization" if "name" in author else "Person"
    address = author.get("orcid") or author.get("website") or f"#author-{at + 1}"
    return crate.add(ContextEntity(crate, address, {"@type": kind, "name": name}))


def _add_file(crate: ROCrate, name: str, source: Path) -> None:
    content = source.read_bytes()
    properties = {
        "name": Path(name).name,
        "description": DESCRIPTIONS.get(Path(name).name, name),
        "contentSize": str(len(content)),
        "sha256": hashlib.sha256(content).hexdigest(),
        "encodingFormat": FORMATS.get(Path(name).suffix, "text/plain"),
    }
    if name == "Snakefile":  # what the crate is about: it makes every result from the study's file
        crate.add_workflow(source, name, properties=properties, main=True, lang="snakemake")
    else:
        crate.add_file(source, name, properties=properties)


def _describe_workflow(crate: ROCrate, citation: Mapping[str, Any]) -> None:
    workflow = crate.mainEntity
    workflow["name"] = citation["title"]
    workflow["version"] = str(citation["version"])
    workflow["license"] = crate.license
    workflow["creator"] = crate.root_dataset["author"]
    workflow["datePublished"] = crate.root_dataset["datePublished"]
    workflow["input"], workflow["output"] = _parameter(crate, "study"), _parameter(crate, "results")


def _parameter(crate: ROCrate, name: str) -> ContextEntity:
    kind = {"study": "File", "results": "Dataset"}[name]
    properties = {"@type": "FormalParameter", "name": name, "additionalType": kind}
    profile = "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"
    return crate.add(ContextEntity(crate, f"#{name}", properties | {"conformsTo": {"@id": profile}}))


# -- runs --------------------------------------------------------------------------------------------------------------


def _add_runs(crate: ROCrate, study: Study, folder: Path, citation: Mapping[str, Any]) -> None:
    """The study as one action of the workflow, and the training of each run as an action with its environment."""
    prefix = f"results/{study.name}"
    images = _images(crate, study)
    trained = [file for run in study.runs for file in run.record_files]
    made = [f"{prefix}/{name}" for name in [*DESCRIPTIONS, "README.md", *trained]]
    results = [entity for name in made if (entity := crate.dereference(name)) and name != f"{prefix}/study.json"]
    definition = crate.dereference(f"{prefix}/study.json")
    definition["exampleOfWork"] = crate.dereference("#study")
    action = crate.add_action(crate.mainEntity, "#all", [definition, images], results)
    action["name"] = f"All runs of the study {study.name}, and their tables"
    action["agent"] = crate.root_dataset["author"][0]
    crate.root_dataset["mentions"] = [action]
    for run in study.runs:
        crate.root_dataset.append_to("mentions", _trained(crate, study, run, folder, images, citation))


def _images(crate: ROCrate, study: Study) -> ContextEntity:
    data = study.resolved["data"]
    properties = {"@type": "CreativeWork", "name": data["name"], "identifier": str(data["checksum"])}
    about = "the images, identified by the checksum of their prepared arrays; not part of the archive"
    return crate.add(ContextEntity(crate, "#images", properties | {"description": about}))


def _trained(
    crate: ROCrate, study: Study, run: Run, folder: Path, images: ContextEntity, citation: Mapping[str, Any]
) -> ContextEntity:
    sidecar = read_sidecar(folder, run)
    trainers = [_trainer(crate, environment, citation) for environment in sidecar["environments"]]
    results = [crate.dereference(f"results/{study.name}/{name}") for name in run.record_files]
    properties = {
        "@type": "CreateAction",
        "name": f"Training of {run.variant} with seed {run.seed}",
        "description": f"{study.resolved['variants'][run.variant]['label']}; fingerprint {run.fingerprint}; "
        f"sha256 of the final weights {sidecar['weights']['final']}",
        "agent": crate.root_dataset["author"][0],
    }
    identifier = f"#run-{run.variant}-seed{run.seed}-{run.fingerprint}"
    definition = crate.dereference(f"results/{study.name}/study.json")
    instrument = trainers if len(trainers) > 1 else trainers[0]
    return crate.add_action(instrument, identifier, [definition, images], results, properties)


def _trainer(crate: ROCrate, environment: Mapping[str, Any], citation: Mapping[str, Any]) -> ContextEntity:
    """The software as it ran on one kind of machine."""
    digest = hashlib.sha256(json.dumps(environment, sort_keys=True).encode()).hexdigest()[:8]
    properties = {
        "@type": "SoftwareApplication",
        "name": f"{citation['title']}, on {environment['processor']}",
        "softwareVersion": str(citation["version"]),
        "url": {"@id": "workflow/scripts/train.py"},
        "operatingSystem": environment["system"],
        "processorRequirements": f"{environment['device']}, {environment['processor']}",
        "softwareRequirements": [f"{key} {value}" for key, value in sorted(environment.items())],
    }
    found = crate.dereference(f"#trainer-{digest}")
    return found or crate.add(ContextEntity(crate, f"#trainer-{digest}", properties))


# -- the zip file ------------------------------------------------------------------------------------------------------


def _zipped(place: Path) -> bytes:
    """A folder as a zip file whose bytes depend on names and contents alone."""
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for name in _files(place, [one.name for one in place.iterdir()]):
                entry = zipfile.ZipInfo(name, EPOCH)
                entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                archive.writestr(entry, (place / name).read_bytes())
        file.seek(0)
        return file.read()
