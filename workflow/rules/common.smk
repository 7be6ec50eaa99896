"""Reads the study: its configuration is checked, and what is there of its results is looked at. Nothing is written here."""

import atexit
import re
import tempfile
from functools import cache

from temporal_shortcuts import api, errors, files, folders, study as studies
from temporal_shortcuts.study import outputs
from temporal_shortcuts.study.model import fingerprint
from temporal_shortcuts.analysis import records
from temporal_shortcuts.terminal import arguments


def read_study():
    """The study that --configfile names, or that another workflow gives its module, or else that of config.yaml.

    `config` then also has how it is run. A job on a cluster takes the study as it was started, edited since or not.
    """
    global STUDY, FILE
    is_own = workflow.overwrite_configfiles or config.keys() & {"data", "extends"}
    files = workflow.overwrite_configfiles if is_own else [ROOT / "config.yaml"]
    FILE = files[-1] if files else "study.yaml"
    STUDY = api.read_study(*map(os.path.relpath, files), config)
    known = {"study": STUDY.name, "title": STUDY.title, "scale": STUDY.scale, "data": STUDY.data.model_dump()}
    config.update(STUDY.running.model_dump() | known)
    started = Path(config["results"], STUDY.name, "study.json")
    if not workflow.is_main_process and started.is_file():
        STUDY = studies.load_resolved(started)
    for key in ("results", "work"):
        folders.check_folder(Path(config[key]))
        folders.check_prefix(config[key], workflow.modifier.path_modifier.replace_prefix(config[key]))


errors.main(read_study)

SCRIPTS = ROOT / "workflow" / "scripts"
CODE = ROOT / "src" / "temporal_shortcuts"
WORK = str(Path(config["work"]))
RESULTS = str(Path(config["results"]) / STUDY.name)
STUDY_FILE = f"{RESULTS}/study.json"
SNAPSHOT = f"{WORK}/studies/{STUDY.name}-{fingerprint(STUDY.resolved)}.json"
DATA = f"{WORK}/data/{STUDY.data_folder}"
RUNS = {run.record: run for run in STUDY.runs}
RECORDS = [f"{RESULTS}/{name}" for run in STUDY.runs for name in run.record_files]
COLLECTED = [f"{RESULTS}/{name}" for name in outputs.COLLECTED]
ANALYSED = [f"{RESULTS}/{name}" for name in outputs.tables_of(STUDY)]
TABLES = COLLECTED + ANALYSED
FIGURES = [f"{RESULTS}/figures/{name}" for name in outputs.figures_of(STUDY)]
README = f"{RESULTS}/README.md"
# What lies beside results/ shows no results that are put elsewhere.
IN_PLACE = Path(config["results"]).absolute() == Path("results").absolute()
CONFIRMING = [os.path.relpath(Path(FILE).with_name(STUDY.confirm.file))] if STUDY.confirm and IN_PLACE else []
for file in CONFIRMING:
    errors.main(lambda: arguments.check_confirming(Path(file)))
IMAGES = [
    f"{DATA}/{name}"
    for name in ("train_images.npy", "train_labels.npy", "test_images.npy", "test_labels.npy", "data.json")
]
ENVIRONMENT = "../../envs/rules.yaml"

# glibc gives large tensors back to the kernel after each use unless told otherwise, and keeps them on small pages; it costs a step
# some 7 % to fault them in again, and some 8 % to find them.
MALLOC = (
    "MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=4294967296 MALLOC_TOP_PAD_=67108864"
    " GLIBC_TUNABLES=glibc.malloc.hugetlb=1"
)

# A record that is whole is the output of no rule, so that nothing that is typed to Snakemake can delete it or make it again.
OPEN = {run.record: run for run in STUDY.runs if not records.is_whole(run, Path(RESULTS), STUDY.epochs)}
for run in OPEN.values():
    if workflow.is_main_process and records.is_there(run, Path(RESULTS)):
        damage = records.damage(Path(RESULTS, run.record), run, STUDY.epochs)
        print(f"warning: {RESULTS}/{run.record} is damaged: {damage}", file=sys.stderr)


@cache
def newest():
    """A copy of study.json outside, newer than all that was made before: as an input, it has that made again."""
    folder = tempfile.TemporaryDirectory(prefix="temporal-shortcuts-")
    atexit.register(folder.cleanup)
    path = Path(folder.name) / "study.json"
    folders.check_braces(path)
    STUDY.write(path)
    return str(path)


def newest_if(stale):
    """Inputs of what has to be made again if it is `stale`."""
    inputs = []
    if stale and workflow.is_main_process:
        errors.main(lambda: inputs.append(newest()))
    return inputs


# No table may show another study, or another set of records, than its study.json and the folder of records. In a fresh clone the
# times of files do not tell, so what is in them decides. study.json alone is no witness: `snakemake records` writes it, and no table.
EDITED = not files.holds(Path(STUDY_FILE), STUDY.text())
SHOWN = Path(README)
STALE = EDITED or bool(OPEN) or SHOWN.is_file() and outputs.mark(STUDY) not in SHOWN.read_text(errors="replace")


def check_start():
    """Stop before the first job if something is known to be in its way, and hold the files that this Snakemake will make."""
    jobs = list(workflow.dag.needrun_jobs())
    made = [path for job in jobs for path in job.output]
    if workflow.touch:
        arguments.check_touch(made)
    for folder in (RESULTS, WORK):
        folders.check_writable(Path(folder))
    if workflow.local_exec and not workflow.touch and any(job.rule.name == "segment" for job in jobs):
        arguments.check_device(STUDY, ROOT)
    folders.hold_study(Path(STUDY_FILE), Path(WORK), edited=EDITED)
    folders.hold_files([path for path in made if path not in (STUDY_FILE, SNAPSHOT)], Path(WORK))
    if workflow.is_main_process and not workflow.touch and STUDY_FILE not in made:
        STUDY.write(Path(STUDY_FILE))  # for those who watch, where no table is asked for


def parent_of(wildcards):
    """The state that a segment starts from, if it does not start from the initial weights."""
    parent = STUDY.segments[wildcards.state].parent
    return ancient(f"{WORK}/states/{parent}.state") if parent else []


def title_of(wildcards):
    """What a segment trains, for people."""
    segment = STUDY.segments[wildcards.state]
    return f"epochs {segment.start + 1} to {segment.stop} of {STUDY.name_of(segment)}"


SEEDS = list(dict.fromkeys([*STUDY.seeds, *(run.seed for run in STUDY.runs)]))
MOST_URGENT = 2 * (len(SEEDS) + 1) * (STUDY.epochs + 1)


def urgency_of(wildcards):
    """Seeds one after another; of a seed, what has the longest way to its end first, so that the others need not wait for it.

    The last seeds, as many as jobs train at once, count as one: the first epochs of the last, trained alone, would leave the others idle.
    """
    segment = STUDY.segments[wildcards.state]
    limits = workflow.resource_settings  # on a cluster there are no cores, but --jobs
    later = max(len(SEEDS) - SEEDS.index(segment.seed), min(limits.cores or limits.nodes or 1, len(SEEDS)))
    return 2 * (later * (STUDY.epochs + 1) + STUDY.epochs - segment.start) + (not segment.final)


def python():
    """How a job calls the Python that Snakemake runs with; in a conda environment of a job, it is that environment's."""
    here = Path(sys.executable)
    names = [name for name in ("python", "python3") if (here.parent / name).exists()]
    return next((name for name in names if (here.parent / name).samefile(here)), here.name)


PYTHON = python()


def source_of(wildcards):
    """An equal run's record under another name if there is one, else the final state."""
    run = OPEN[f"records/{wildcards.run}.csv"]
    equal = records.equal_record(run, Path(RESULTS), STUDY.epochs)
    return ancient(str(equal) if equal else f"{WORK}/states/{run.fingerprint}-final.state")


def reported(paths, what):
    """Outputs that the HTML report shows, by name, under a heading of their own."""
    caption, category = f"../report/{what}.rst", f"{what.capitalize()}s"
    return [report(path, caption=caption, category=category, labels={what: Path(path).stem}) for path in paths]


def code(*patterns):
    """Files of the package whose text decides what a cheap stage makes."""
    return [local(str(path)) for pattern in patterns for path in sorted(CODE.glob(pattern))]


def open_runs():
    """A pattern of the runs in OPEN. Snakemake writes it into each output and reads it again for each job, so it is kept short."""
    tails = {}
    for run in OPEN.values():
        tails.setdefault(run.variant, []).append(f"{run.seed}-{run.fingerprint}")
    return "|".join(f"{re.escape(variant)}/seed({'|'.join(found)})" for variant, found in tails.items()) or "(?!)"


wildcard_constraints:
    state="[0-9a-f]{16}-(final|branch)",
    run=open_runs(),
