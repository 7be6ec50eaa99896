"""The training: segments, each from its parent's state to its own, and a record from each final state.

Needs the prepared data. Makes results/<study>/records/. A record that is whole needs nothing; one that is not asks for the segments of
its run. What its fingerprint covers is ancient(): times of files decide nothing here.
"""

MOST_URGENT = 10**9


rule segment:
    """Train a span of epochs that a set of runs has in common; a killed job goes on from its last saved state."""
    input:
        images=told(images_of),
        parent=parent_of,
        study=study_for,
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
        gpu=lambda wildcards: int(with_segment(wildcards.state).protocol.device == "cuda"),
    params:
        data=lambda wildcards, input: os.path.dirname(input.images[0]),
        work=lambda wildcards: WORK,
        minutes=lambda wildcards: with_segment(wildcards.state).running.checkpoint_minutes,
        jobs=lambda wildcards: with_segment(wildcards.state).running.jobs_per_gpu,
        force=lambda wildcards: "--force-environment" if with_segment(wildcards.state).running.force_environment else "",
        malloc=MALLOC,
        title=title_of,
        program=program("train.py"),
    message:
        "Train {params.title}"
    shell:
        "{params.malloc} {params.program} --study {input.study:q} --state {wildcards.state} --data {params.data:q}"
        " --work {params.work:q} --checkpoint-minutes {params.minutes} --jobs-per-gpu {params.jobs} {params.force} > {log:q} 2>&1"


rule record:
    """Write a run's record, sidecar and correct test images, and remove the states that nothing needs any more; leave a whole one alone."""
    input:
        source=told(source_of),
        study=lambda wildcards: ancient(kept(wildcards.study)),
    output:
        update(f"{RESULTS}/{{study}}/records/{{run}}.csv"),  # else an old one would be deleted before there is a whole one
        update(f"{RESULTS}/{{study}}/records/{{run}}.json"),
        update(f"{RESULTS}/{{study}}/records/{{run}}.correct.npy"),
    log:
        f"{WORK}/logs/record/{{study}}/{{run}}.log",
    priority: MOST_URGENT  # before another segment begins: what is trained is then kept whatever happens next
    localrule: True
    conda:
        ENVIRONMENT
    params:
        results=lambda wildcards: f"{RESULTS}/{wildcards.study}",
        work=lambda wildcards: WORK,
        keep=keeping,
        program=program("record.py"),
    message:
        "Record {wildcards.run}"
    shell:
        "[ -z '{input.source}' ] || {params.program} --study {input.study:q} --results {params.results:q}"
        " --record records/{wildcards.run}.csv --work {params.work:q} --source {input.source:q} {params.keep:q} > {log:q} 2>&1"
