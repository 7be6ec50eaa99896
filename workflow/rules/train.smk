"""The training: segments, each from its parent's state to its own, and a record from each final state.

Needs the prepared data. Makes results/<study>/records/. A record that is whole is a source, which no rule makes; one that is not
asks for the segments of its run. What its fingerprint covers is ancient(): times of files decide nothing here.
"""


localrules:
    records,
    record,


rule records:
    """The records of all runs."""
    input:
        RECORDS,
    message:
        "The records of all runs"


rule segment:
    """Train a span of epochs that a set of runs has in common; a killed job goes on from its last saved state."""
    input:
        images=[ancient(path) for path in IMAGES],
        parent=parent_of,
        study=ancient(SNAPSHOT),
    output:
        f"{WORK}/states/{{state}}.state",
    log:
        f"{WORK}/logs/segment/{{state}}.log",
    benchmark:
        f"{WORK}/benchmarks/segment/{{state}}.tsv"
    priority: urgency_of
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        gpu=1 if STUDY.protocol.device == "cuda" else 0,
    params:
        data=lambda wildcards, input: os.path.dirname(input.images[0]),
        work=lambda wildcards: WORK,
        minutes=config["checkpoint_minutes"],
        jobs=config["jobs_per_gpu"],
        force="--force-environment" if config["force_environment"] else "",
        malloc=MALLOC,
        title=title_of,
        python=PYTHON,
        script=SCRIPTS / "train.py",
    message:
        "Train {params.title}"
    shell:
        "{params.malloc} {params.python} {params.script:q} --study {input.study:q} --state {wildcards.state} --data {params.data:q}"
        " --work {params.work:q} --checkpoint-minutes {params.minutes} --jobs-per-gpu {params.jobs} {params.force} > {log:q} 2>&1"


rule record:
    """Write a run's record, sidecar and correct test images, and remove the states that nothing needs any more."""
    input:
        source=source_of,
        study=ancient(SNAPSHOT),
    output:
        update(f"{RESULTS}/records/{{run}}.csv"),  # else an old one would be deleted before there is a whole one
        update(f"{RESULTS}/records/{{run}}.json"),
        update(f"{RESULTS}/records/{{run}}.correct.npy"),
    log:
        f"{WORK}/logs/record/{STUDY.name}/{{run}}.log",
    priority: MOST_URGENT  # before another segment begins: what is trained is then kept whatever happens next
    conda:
        ENVIRONMENT
    params:
        results=lambda wildcards: RESULTS,
        work=lambda wildcards: WORK,
        keep=("--keep-states " if config["keep_states"] else "") + ("--keep-weights" if config["keep_weights"] else ""),
        python=PYTHON,
        script=SCRIPTS / "record.py",
    message:
        "Record {wildcards.run}"
    shell:
        "{params.python} {params.script:q} --study {input.study:q} --results {params.results:q} --record records/{wildcards.run}.csv --work {params.work:q}"
        " --source {input.source:q} {params.keep} > {log:q} 2>&1"


for variant in STUDY.variants:

    rule:
        name:
            variant
        input:
            [f"{RESULTS}/{name}" for run in STUDY.variant_runs(variant) for name in run.record_files],
        localrule: True
        message:
            f"All runs of {variant}"


# The files of a record that is whole can be named as targets too: they are there.
for path in filter(os.path.isfile, RECORDS if workflow.is_main_process else []):

    rule:
        name:
            path
        input:
            path,
        localrule: True
        message:
            f"{path} is there"
