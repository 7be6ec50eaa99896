"""What the rules ask for: functions of wildcards."""

# -- runs and their segments -------------------------------------------------------------------------------------------------


@cache
def runs_of(name):
    return {run.record: run for run in STUDIES[name].runs}


def source_of(wildcards):
    """Nothing for a record that is whole; else an equal run's record under another name if there is one, or the final state."""
    study, folder = STUDIES[wildcards.study], Path(RESULTS, wildcards.study)
    run = runs_of(wildcards.study).get(f"records/{wildcards.run}.csv")
    if run is None and (folder / f"records/{wildcards.run}.csv").is_file():
        return []  # of the study as it was
    if run is None:
        raise errors.UserError(f"{wildcards.run} is no run of the study {study.name} as it is now: name one that is.")
    if records.is_whole(run, folder, study.epochs):
        return []
    if workflow.is_main_process and records.is_there(run, folder):
        damage = records.damage(folder / run.record, run, study.epochs)
        print(f"warning: {folder / run.record} is damaged: {damage}", file=sys.stderr)
    equal = records.equal_record(run, folder, study.epochs)
    if not equal:
        OWNERS.update((segment.state, study) for segment in study.chain(run))
    return ancient(str(equal) if equal else f"{WORK}/states/{run.fingerprint}-final.state")


OWNERS = {}


@cache
def with_segment(state):
    """A study that has a segment: the one that a job is planned for, or any; on a cluster also one as it was started, edited since."""
    if state in OWNERS:
        return OWNERS[state]
    for study in known_studies():
        if state in study.segments:
            return study
    raise errors.UserError(f"no study has a segment {state}: name one that `snakemake -n` plans.")


def known_studies():
    yield from STUDIES.studies.values()
    for path in [] if workflow.is_main_process else sorted(KEPT.glob("*-*.json"), key=os.path.getmtime, reverse=True):
        yield studies.load_resolved(path)


def segment_of(wildcards):
    return with_segment(wildcards.state).segments[wildcards.state]


def study_for(wildcards):
    study = with_segment(wildcards.state)
    return ancient(kept(study.name) if workflow.is_main_process else str(kept_as(study)))


def images_of(wildcards):
    data = with_segment(wildcards.state).data_folder
    return [ancient(path.format(data=data)) for path in IMAGES]


def parent_of(wildcards):
    """The state that a segment starts from, if it does not start from the initial weights."""
    parent = segment_of(wildcards).parent
    return ancient(f"{WORK}/states/{parent}.state") if parent else []


# -- the data -----------------------------------------------------------------------------------------------------------------


def data_of(wildcards):
    """The data of that identity, as a study's file has it."""
    study = next(study for study in known_studies() if study.data_folder == wildcards.data)
    return json.dumps(study.data.model_dump(), sort_keys=True)


# -- the training -------------------------------------------------------------------------------------------------------------


def title_of(wildcards):
    """What a segment trains, for people."""
    segment = segment_of(wildcards)
    return f"epochs {segment.start + 1} to {segment.stop} of {with_segment(wildcards.state).name_of(segment)}"


def urgency_of(wildcards):
    """Seeds one after another; of a seed, what has the longest way to its end first, so that the others need not wait for it.

    The last seeds, as many as jobs train at once, count as one: the first epochs of the last, trained alone, would leave the others idle.
    """
    study, segment = with_segment(wildcards.state), segment_of(wildcards)
    seeds, limits = study.all_seeds, workflow.resource_settings  # on a cluster there are no cores, but --jobs
    later = max(len(seeds) - seeds.index(segment.seed), min(limits.cores or limits.nodes or 1, len(seeds)))
    return 2 * (later * (study.epochs + 1) + study.epochs - segment.start) + (not segment.final)


def keeping(wildcards):
    """What stays beside the record: as the study says; and states that another study of this folder needs."""
    running = STUDIES[wildcards.study].running
    kept = [f"--keep-{what}" for what in ("states", "weights") if getattr(running, f"keep_{what}")]
    others = [str(path) for path in map(kept_as, STUDIES.studies.values()) if path.is_file()]
    return [*kept, "--studies", *others]


# -- texts and pages ----------------------------------------------------------------------------------------------------------


def named_in(text):
    """The studies whose numbers a text has."""
    from temporal_shortcuts.report import prose

    return sorted(prose.named(text.read_text(encoding="utf-8", errors="replace")))


def front_page_from(wildcards):
    """Its text and the tables that this names; and a file that is new where the page shows other numbers, whatever the times of files say."""
    text = Path(f"README{wildcards.language}.in.md")
    new = catalogue.kept(KEPT / f"{text}.json", {}, arguments.is_filled(text, Path(RESULTS)))
    shown = [path for name in named_in(text) if name in finished() for path in tables_of(name)]
    return [*shown, *(LADDER if "ladder" in named_in(text) and rungs() else []), new]


# -- the ladder ---------------------------------------------------------------------------------------------------------------


@cache
def rungs():
    """The names of its studies that are finished."""
    return [name for name in ladders.rungs_of(ladders.FILE) if name in finished()] if ladders.FILE.is_file() else []


def ladder_from(wildcards):
    """The files of its studies and what they have found, and what a person wrote of it."""
    declared = [str(STUDIES.files[name]) for name in ladders.rungs_of(ladders.FILE) if name in STUDIES.files]
    text = [str(path) for path in [ladders.FILE.with_suffix(".md")] if path.is_file()]
    return [*declared, *(f"{RESULTS}/{name}/{file}" for name in rungs() for file in ladders.NEEDED), *text]


def ladder_kept(wildcards):
    """A file that is new where the ladder was made of others, whatever the times of files say."""
    mark = outputs.beside(map(Path, [*ladder_from(wildcards), *LADDER[:-1]]))
    return catalogue.kept(KEPT / "ladder.json", {}, outputs.bears(Path(LADDER[-1]), mark))


# -- what is handed on --------------------------------------------------------------------------------------------------------


def archived(wildcards):
    return [local(str(path)) for path in STUDIES.archived(ROOT, wildcards.study)]


def results_of(wildcards):
    """The tables, figures and the text of a study, by name."""
    study, folder = STUDIES[wildcards.study], f"{RESULTS}/{wildcards.study}"
    figures = [f"figures/{name}" for name in outputs.figures_of(study)]
    return [f"{folder}/{name}" for name in (*outputs.COLLECTED, *outputs.tables_of(study), *figures, "README.md")]


# -- targets ------------------------------------------------------------------------------------------------------------------


@cache
def finished():
    """The names of the studies that have all their records."""
    return [study.name for study in errors.main(lambda: STUDIES.finished(Path(RESULTS)))]


def everything():
    """What is made of all records that are there."""
    STUDIES.check()
    shown = [path for name in finished() for path in all_of(name)]
    chosen = [path for name in finished() for path in chosen_by(name)]
    pages = [text.replace(".in.md", ".md") for text in FRONT_TEXTS]
    return [*shown, *chosen, *(LADDER if rungs() else []), *pages]


def chosen_by(name):
    """The file of the study that confirms this one; results that are put elsewhere choose nothing."""
    return [path for path, exploring in EXPLORING.items() if exploring == name and RESULTS == "results"]


def targets():
    """Each target's name, and the function that says which files it stands for."""
    own, found = STUDY.name, {}
    for name, study in STUDIES.studies.items():
        found |= {f"{name}/{variant}": partial(records_of, name, variant) for variant in study.variants}
        found |= {name: lambda name=name: [*all_of(name), *chosen_by(name)]}
        found |= {f"page/{name}": partial(list, [f"build/{name}.html"])}
        found |= {f"crate/{name}": partial(list, [f"build/{name}-crate.zip"])}
    found = {variant: partial(records_of, own, variant) for variant in STUDY.variants} | found
    found = {name: partial(STUDIES.__getitem__, name) for name in STUDIES.faults} | found
    return {name: files for name, files in found.items() if name not in RESERVED} | {
        "data": lambda: [path.format(data=STUDY.data_folder) for path in IMAGES],
        "records": partial(records_of, own),
        "figures": lambda: [*records_of(own), f"{RESULTS}/{own}/figures"],
        "readme": lambda: [*records_of(own), f"{RESULTS}/{own}/README.md"],
        "page": lambda: [f"build/{own}.html"],
        "crate": lambda: [f"build/{own}-crate.zip"],
        "tables": everything,
        "confirm": lambda: [path for name in dict.fromkeys([own, *finished()]) for path in chosen_by(name)],
        "ladder": lambda: LADDER,
    }


def check_start():
    """Stop before the first job if something is known to be in its way, and hold the files that this Snakemake will make."""
    jobs = list(workflow.dag.needrun_jobs())
    made = [path for job in jobs for path in job.output]
    if workflow.touch:
        return arguments.check_touch(made)
    for folder in (RESULTS, WORK):
        folders.check_writable(Path(folder))
    trained = {with_segment(job.wildcards.state).name for job in jobs if "state" in job.wildcards.keys()}
    for study in map(STUDIES.__getitem__, trained):
        if workflow.local_exec:
            arguments.check_device(study, STUDIES)
    folders.hold_files(made, Path(WORK))
    for study in map(STUDIES.__getitem__, trained):
        study.write(Path(RESULTS, study.name, "study.json"))  # for those who watch
