"""Reads the studies: their files are checked, and what is there of their results is looked at where a job is planned for it."""

import json
import re
from functools import cache, partial
from shlex import quote

from temporal_shortcuts import catalogue, errors, folders, study as studies
from temporal_shortcuts.analysis import records
from temporal_shortcuts.study import ladder as ladders, outputs
from temporal_shortcuts.study.segments import fingerprint
from temporal_shortcuts.terminal import arguments


def read_studies():
    """All studies of the clone; and the one that --configfile names, or that another workflow gives its module, or else config.yaml's.

    Without --configfile, what stands after --config holds for each of them.
    """
    global STUDIES, STUDY
    is_own = workflow.overwrite_configfiles or config.keys() & {"data", "extends"}
    given = [Path(file) for file in workflow.overwrite_configfiles] if is_own else [ROOT / "config.yaml"]
    STUDIES = catalogue.catalogue(ROOT, given, {} if is_own else config)
    STUDY = catalogue.read_study(*map(os.path.relpath, given), config)
    STUDIES.add(STUDY, Path(os.path.relpath(given[-1])) if given else Path("study.yaml"))
    STUDIES.place(STUDY.running.results, STUDY.running.work)
    config.update(STUDY.running.model_dump() | {"study": STUDY.name, "title": STUDY.title, "scale": STUDY.scale})
    for key in ("results", "work"):
        folders.check_folder(Path(config[key]))
        folders.check_prefix(config[key], workflow.modifier.path_modifier.replace_prefix(config[key]))


errors.main(read_studies)

SCRIPTS = ROOT / "workflow" / "scripts"
CODE = ROOT / "src" / "temporal_shortcuts"
KEPT = Path(".snakemake", "studies")
RESULTS, WORK = (str(Path(config[key])) for key in ("results", "work"))
IMAGES = [
    f"{WORK}/data/{{data}}/{name}"
    for name in ("train_images.npy", "train_labels.npy", "test_images.npy", "test_labels.npy", "data.json")
]
ENVIRONMENT = "../../envs/rules.yaml"

# glibc gives large tensors back to the kernel after each use unless told otherwise, and keeps them on small pages; it costs a step
# some 7 % to fault them in again, and some 8 % to find them.
MALLOC = (
    "MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=4294967296 MALLOC_TOP_PAD_=67108864"
    " GLIBC_TUNABLES=glibc.malloc.hugetlb=1"
)


def python():
    """How a job calls the Python that Snakemake runs with; in a conda environment of a job, it is that environment's."""
    here = Path(sys.executable)
    names = [name for name in ("python", "python3") if (here.parent / name).exists()]
    return next((name for name in names if (here.parent / name).samefile(here)), here.name)


def program(name, *words):
    """How a job calls a program of workflow/scripts/."""
    return " ".join([python(), quote(str(SCRIPTS / name)), *words])


wildcard_constraints:
    study="(?!ladder/)[^/]+",
    run="[^/]+/seed[0-9]+-[0-9a-f]{16}",
    state="[0-9a-f]{16}-(final|branch)",
    data="[0-9a-f]{16}",


def told(function):
    """An input function whose `UserError` ends Snakemake with its sentence, and with no traceback."""

    def called(wildcards):
        try:
            return function(wildcards)
        except Exception as error:
            errors.leave(error)

    return called


# -- a study's files ---------------------------------------------------------------------------------------------------------


def text_of(name):
    """What a person wrote of a study, if there is something: beside its file, under the same name."""
    path = STUDIES.files[name].with_suffix(".md")
    return [str(path)] if path.is_file() else []


def kept_as(study):
    """A study as a file for jobs. It is named after what it holds, so no later edit changes the study of a job that was started."""
    return KEPT / f"{study.name}-{fingerprint([study.fingerprint, RESULTS])}.json"


@cache
def kept(name):
    """The same, looked after: it is new where something that is derived of the study has to be made again.

    No table, figure or text may show another study, or other records, than those that are there; and the times of files do not tell, as
    in a fresh clone. So the content of all of them is compared with the mark on the study's README.
    """
    study, folder = STUDIES[name], Path(RESULTS, name)
    if not workflow.is_main_process or outputs.awaits_page(study, folder, kept_as(study)):
        return str(kept_as(study))
    mark = outputs.mark(study, folder, map(Path, text_of(name)))
    return catalogue.kept(kept_as(study), study.resolved, outputs.bears(folder / "README.md", mark))


def records_of(name, variant=None):
    runs = STUDIES[name].runs if variant is None else STUDIES[name].variant_runs(variant)
    return [f"{RESULTS}/{name}/{file}" for run in runs for file in run.record_files]


def tables_of(name):
    """Those that every study has. What else it has stands beside them, and is compared by content."""
    return [f"{RESULTS}/{name}/{file}" for file in ("study.json", *outputs.COLLECTED, *outputs.TABULATED)]


def all_of(name):
    return [*records_of(name), *tables_of(name), f"{RESULTS}/{name}/figures", f"{RESULTS}/{name}/README.md"]


def code(*patterns):
    """Files of the package whose text decides what a cheap stage makes."""
    return [local(str(path)) for pattern in patterns for path in sorted(CODE.glob(pattern))]
