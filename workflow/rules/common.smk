"""Reads the study: the configuration is checked, and study.json, on which the cheap stages depend, is brought up to date."""

from temporal_shortcuts import errors, files, study as studies
from temporal_shortcuts.study import outputs, reading
from temporal_shortcuts.analysis import records


def read_study():
    """The study that --configfile names, or that another workflow gives its module, or else that of config.yaml.

    `config` then also has how it is run.
    """
    global STUDY
    is_own = workflow.overwrite_configfiles or config.keys() & {"data", "extends"}
    here, given = Path.cwd(), workflow.overwrite_configfiles if is_own else [f"{workflow.basedir}/config.yaml"]
    files = [path.relative_to(here) if path.is_relative_to(here) else path for path in map(Path, given)]
    STUDY = studies.resolve(config if is_own else reading.over(files[0], config), files)
    known = {"study": STUDY.name, "title": STUDY.title, "scale": STUDY.scale, "data": STUDY.data.model_dump()}
    config.update(STUDY.running.model_dump() | known)


errors.main(read_study)

SCRIPTS = Path(workflow.basedir) / "workflow" / "scripts"
CODE = Path(workflow.basedir) / "src" / "temporal_shortcuts"
WORK = str(Path(config["work"]))
RESULTS = str(Path(config["results"]) / STUDY.name)
STUDY_FILE = f"{RESULTS}/study.json"
DATA = f"{WORK}/data/{STUDY.data_folder}"
RUNS = {run.record: run for run in STUDY.runs}
RECORDS = [f"{RESULTS}/{name}" for run in STUDY.runs for name in run.record_files]
COLLECTED = [f"{RESULTS}/{name}" for name in outputs.COLLECTED]
ANALYSED = [f"{RESULTS}/{name}" for name in outputs.TABULATED]
TABLES = COLLECTED + ANALYSED
FIGURES = [f"{RESULTS}/figures/{name}" for name in outputs.figures_of(STUDY.resolved)]
BLOCKS = [f"{RESULTS}/blocks/{name}" for name in outputs.blocks_of(STUDY.resolved)]
README = [f"{RESULTS}/README.md", *BLOCKS]
FRONT_PAGE = f"{WORK}/front_page/{STUDY.name}.done"
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

MISSING = [run for run in STUDY.runs if not records.is_there(run, Path(RESULTS))]


def parent_of(wildcards):
    """The state that a segment starts from, if it does not start from the initial weights."""
    parent = STUDY.segments[wildcards.state].parent
    return ancient(f"{WORK}/states/{parent}.state") if parent else []


def title_of(wildcards):
    """What a segment trains, for people."""
    segment = STUDY.segments[wildcards.state]
    return f"epochs {segment.start + 1} to {segment.stop} of {STUDY.name_of(segment)}"


def source_of(wildcards):
    """Nothing when the record is there, an equal run's record under another name if there is one, else the final state.

    Nothing too for a record that is not, or no longer, of the study: it can be an equal run's, but it can't be made.
    """
    run = RUNS.get(f"records/{wildcards.run}.csv")
    folder = Path(RESULTS)
    if run is None or records.is_there(run, folder):
        return []
    equal = records.equal_record(run, folder)
    return ancient(str(equal) if equal else f"{WORK}/states/{run.fingerprint}-final.state")


def reported(paths, what):
    """Outputs that the HTML report shows, by name, under a heading of their own."""
    caption, category = f"../report/{what}.rst", f"{what.capitalize()}s"
    return [report(path, caption=caption, category=category, labels={what: Path(path).stem}) for path in paths]


def code(*patterns):
    """Files of the package whose text decides what a cheap stage makes."""
    return [local(str(path)) for pattern in patterns for path in sorted(CODE.glob(pattern))]


wildcard_constraints:
    state="[0-9a-f]{16}-(final|branch)",
    run=r"[A-Za-z0-9][A-Za-z0-9_.-]*/seed\d+-[0-9a-f]{16}",


# The cheap stages have study.json as an input. It is written only when its content changes, and touched while a record is
# missing, so that no table can be newer than a study, or a set of records, that it does not show.
def update_study_file():
    with files.naming(Path(STUDY_FILE)):
        if not STUDY.write(Path(STUDY_FILE)) and MISSING:
            os.utime(STUDY_FILE)


if workflow.is_main_process:
    errors.main(update_study_file)
