"""The training: segments, each from its parent's state to its own, and a record from each final state.

Needs the prepared data. Makes results/<study>/records/. A record that is there asks for nothing; one that is not asks for the
segments of its run. What its fingerprint covers is ancient(): times of files decide nothing here.
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
    output:
        f"{WORK}/states/{{state}}.state",
    log:
        f"{WORK}/logs/segment/{{state}}.log",
    benchmark:
        f"{WORK}/benchmarks/segment/{{state}}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        gpu=1 if STUDY.protocol.device == "cuda" else 0,
    params:
        study=STUDY_FILE,
        data=lambda wildcards, input: os.path.dirname(input.images[0]),
        work=lambda wildcards: WORK,
        minutes=config["checkpoint_minutes"],
        jobs=config["jobs_per_gpu"],
        force="--force-environment" if config["force_environment"] else "",
        malloc=MALLOC,
        title=title_of,
        script=SCRIPTS / "train.py",
    message:
        "Train {params.title}"
    shell:
        "{params.malloc} python {params.script:q} --study {params.study:q} --state {wildcards.state} --data {params.data:q}"
        " --work {params.work:q} --checkpoint-minutes {params.minutes} --jobs-per-gpu {params.jobs} {params.force} > {log:q} 2>&1"


rule record:
    """Write a run's record, sidecar and correct test images, and remove the states that nothing needs any more."""
    input:
        source_of,
    output:
        f"{RESULTS}/records/{{run}}.csv",
        f"{RESULTS}/records/{{run}}.json",
        f"{RESULTS}/records/{{run}}.correct.npy",
    log:
        f"{WORK}/logs/record/{STUDY.name}/{{run}}.log",
    conda:
        ENVIRONMENT
    params:
        study=STUDY_FILE,
        work=WORK,
        keep=("--keep-states " if config["keep_states"] else "") + ("--keep-weights" if config["keep_weights"] else ""),
        script=SCRIPTS / "record.py",
    message:
        "Record {wildcards.run}"
    shell:
        "python {params.script:q} --study {params.study:q} --record records/{wildcards.run}.csv --work {params.work:q}"
        " --source {input:q} {params.keep} > {log:q} 2>&1"


for variant in STUDY.variants:

    rule:
        name:
            variant
        input:
            [f"{RESULTS}/{name}" for run in STUDY.variant_runs(variant) for name in run.record_files],
        localrule: True
        message:
            f"All runs of {variant}"
