"""A study's archive: an RO-Crate (version 1.1, profile Workflow Run Crate) of its results and the workflow that made them.

It is a zip file with the repository's layout, so that unpacked it is a clone without history: tables regenerate, runs can be trained
again. ro-crate-metadata.json says of each file what it is, with its sha256, and of each run which seed, settings and environment it had.
Equal results and sources give equal bytes: no clock is read, and the date is that of the version in CITATION.cff.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rocrate.model import ContextEntity
from rocrate.rocrate import ROCrate

from temporal_shortcuts.analysis.tables import read_sidecar
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.files import write_atomically
from temporal_shortcuts.study import Run, Study, declaration
from temporal_shortcuts.study.image_sets import CIFAR10, called, image_set
from temporal_shortcuts.study.reading import read

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
TERMS = {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}
"""What RO-Crate 1.1 does not define."""
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
    "study.json": "the study, study: every setting of every variant",
    declaration.FILE: "claims, endpoint and margin as they were declared before the first record",
    "metrics.csv": "one row for each run and epoch",
    "runs.csv": "one row for each run",
    "summary.csv": "one row for each variant: mean and standard deviation of each endpoint",
    "stability.csv": "one row for each variant: its stable epoch",
    "comparisons.csv": "paired differences from the baseline",
    "image_bootstrap.csv": "differences with the images resampled too that runs are evaluated on",
    "claims.csv": "a verdict for each claim",
}
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the zip file: the earliest that it can hold."""


def write_crate(study: Study, folder: Path, results: list[Path], root: Path, sources: list[Path], path: Path) -> None:
    """Pack a study's `results` and records (in `folder`) and the `sources` that made them (in `root`) into a zip file."""
    citation = _citation(root / "CITATION.cff")
    recorded = [folder / name for run in study.runs for name in run.record_files]
    declared = [folder / declaration.FILE] if (folder / declaration.FILE).is_file() else []
    files = {one.relative_to(root).as_posix(): one for one in sources}
    files |= {_place(study, one.relative_to(folder).as_posix()): one for one in [*results, *recorded, *declared]}
    crate = _described(study, citation)
    for name in sorted(files):
        _add_file(crate, name, files[name])
    _describe_workflow(crate, citation)
    _add_runs(crate, study, folder, citation)
    with tempfile.TemporaryDirectory() as place:
        crate.write(place)
        write_atomically(path, _zipped(Path(place)))


def _place(study: Study, name: str) -> str:
    """Where a file of the results is in the crate, whatever the folder of results is called here."""
    return f"results/{study.name}/{name}"


def _citation(path: Path) -> dict[str, Any]:
    """Title, authors, version and date of the software."""
    citation = read(path)
    for key in ("title", "authors", "version", "date-released", "license"):
        if not isinstance(citation, dict) or not citation.get(key):
            raise UserError(f"{path} has no {key!r}, which an archive must name: add it.")
    return dict(citation)


# -- what the metadata says --------------------------------------------------------------------------------------------


def _described(study: Study, citation: Mapping[str, Any]) -> ROCrate:
    """An empty crate with its root's description."""
    crate = ROCrate(version="1.1")
    crate.metadata.extra_terms.update(TERMS)
    crate.name = f"{citation['title']}: {study.title}"
    crate.description = f"{len(study.runs)} runs of the study {study.name!r} at {study.scale.rstrip('.')}."
    crate.datePublished = str(citation["date-released"])
    licences = [_licence(crate, name) for name in _listed(citation["license"])]
    crate.license = licences if len(licences) > 1 else licences[0]
    authors = _authors(crate, citation["authors"])
    crate.root_dataset["author"] = authors if len(authors) > 1 else authors[0]
    crate.root_dataset["publisher"] = authors[0]
    crate.root_dataset["version"] = str(citation["version"])
    crate.root_dataset["keywords"] = _keywords(study, citation)
    crate.root_dataset["conformsTo"] = [
        crate.add(ContextEntity(crate, url, {"@type": "CreativeWork", "name": name, "version": url.rpartition("/")[2]}))
        for url, name in PROFILES.items()
    ]
    return crate


def _keywords(study: Study, citation: Mapping[str, Any]) -> list[str]:
    """Those of the software, with the study's images in the place of CIFAR-10."""
    images = image_set(study.data)
    given = [str(word) for word in citation.get("keywords") or []]
    return given if images.is_cifar10 else [*(word for word in given if word != CIFAR10), images.name]


def _listed(value: Any) -> list[Any]:
    return list(dict.fromkeys(map(str, value))) if isinstance(value, list) else [value]


def _licence(crate: ROCrate, name: Any) -> ContextEntity:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9.+-]+", name):
        raise UserError(
            f"CITATION.cff: license: found {name!r}, but it must be an SPDX identifier such as MIT, or a list of them."
        )
    about = {"@type": "CreativeWork", "name": name, "description": f"{name} licence"}
    return crate.add(ContextEntity(crate, f"https://spdx.org/licenses/{name}", about))


NAMES = ("given-names", "name-particle", "family-names", "name-suffix")
"""A person's name, in the order in which it is written."""


def _authors(crate: ROCrate, authors: Any) -> list[ContextEntity]:
    """Every author once, with the whole name. Raises `UserError` for one without a name, and for two of one ORCID."""
    if not isinstance(authors, list) or not all(isinstance(author, dict) for author in authors):
        raise UserError(
            "CITATION.cff: authors: it must be a list of persons (given-names, family-names) or groups (name)."
        )
    found: dict[str, ContextEntity] = {}
    for at, author in enumerate(authors):
        place, orcid = f"CITATION.cff: authors.{at}", author.get("orcid")
        parts = [str(author[key]) for key in NAMES if author.get(key)]
        name = author.get("name") or " ".join(parts) or author.get("alias")
        if not name:
            raise UserError(f"{place}: it has no name; give it family-names, name or alias.")
        if orcid is not None and not re.fullmatch(r"https://orcid\.org/(\d{4}-){3}\d{3}[\dX]", str(orcid)):
            raise UserError(
                f"{place}.orcid: found {orcid!r}, but it must be an address such as https://orcid.org/0000-0001-2345-6789."
            )
        address = orcid or f"#author-{at + 1}"
        if address in found:
            raise UserError(f"{place}: found {address} again; an author must be listed once: remove one.")
        alias = author.get("alias") if author.get("alias") != name else None
        properties = {"@type": "Organization" if "name" in author else "Person", "name": str(name)}
        more = {"alternateName": alias, "url": author.get("website")}
        properties |= {key: str(value) for key, value in more.items() if value}
        found[address] = crate.add(ContextEntity(crate, address, properties))
    return list(found.values())


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
    workflow["conformsTo"] = {"@id": "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"}
    workflow["input"] = _parameter(crate, "study", "File")
    workflow["output"] = _parameter(crate, "table", "File")
    if readme := crate.dereference("README.md"):
        readme["about"] = crate.root_dataset


def _parameter(crate: ROCrate, name: str, kind: str) -> ContextEntity:
    properties = {"@type": "FormalParameter", "name": name, "additionalType": kind}
    profile = "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"
    return crate.add(ContextEntity(crate, f"#{name}", properties | {"conformsTo": {"@id": profile}}))


# -- runs --------------------------------------------------------------------------------------------------------------


def _add_runs(crate: ROCrate, study: Study, folder: Path, citation: Mapping[str, Any]) -> None:
    """The study as one action of the workflow, and the training of each run as an action with its environment."""
    images = _images(crate, study)
    definition = crate.dereference(_place(study, "study.json"))
    definition["exampleOfWork"] = crate.dereference("#study")
    tables = [
        table for name in DESCRIPTIONS if name.endswith(".csv") and (table := crate.dereference(_place(study, name)))
    ]
    for table in tables:
        table["exampleOfWork"] = crate.dereference("#table")
    runs = [_trained(crate, study, run, folder, [definition, images], citation) for run in study.runs]
    records = [record for run in runs for record in run["result"]]
    action = crate.add_action(crate.mainEntity, "#all", [definition, images], [*tables, *records])
    action["name"] = f"All runs of the study {study.name}, and their tables"
    action["description"] = f"snakemake --cores all, with the study {study.name}"
    action["agent"] = crate.publisher
    crate.root_dataset["mentions"] = [action, *runs]


def _images(crate: ROCrate, study: Study) -> ContextEntity:
    data = study.data
    properties = {"@type": "CreativeWork", "name": called(data), "identifier": str(data.checksum)}
    about = "the images, identified by the checksum of their prepared arrays; not part of the archive"
    return crate.add(ContextEntity(crate, "#images", properties | {"description": about}))


def _trained(
    crate: ROCrate, study: Study, run: Run, folder: Path, inputs: list[Any], citation: Mapping[str, Any]
) -> ContextEntity:
    sidecar = read_sidecar(folder, run)
    trainers = [_trainer(crate, environment, citation) for environment in sidecar["environments"]]
    results = [crate.dereference(_place(study, name)) for name in run.record_files]
    properties = {
        "@type": "CreateAction",
        "name": f"Training of {run.variant} with seed {run.seed}",
        "description": f"{study.variants[run.variant].label}; fingerprint {run.fingerprint}; "
        f"sha256 of the final weights {sidecar['weights']['final']}",
        "agent": crate.publisher,
    }
    identifier = f"#run-{run.variant}-seed{run.seed}-{run.fingerprint}"
    instrument = trainers if len(trainers) > 1 else trainers[0]
    return crate.add_action(instrument, identifier, inputs, results, properties)


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
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(path for path in place.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(place).as_posix(), EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, 6)
    return file.getvalue()
