"""The study as declared: study.json beside the results, an input of all cheap stages, and a snapshot for the training.

Needs nothing. study.json is written again when the study was edited. A snapshot is named after what it holds and never changes, so a
training job is given the study as it was started; study.json would be no good input of it, since a job whose input is made anew
and ancient() is left out by Snakemake.
"""

if not Path(SNAPSHOT).is_file():

    rule snapshot:
        """Keep the study for the training jobs as it is now."""
        input:
            [ancient(path) for path in newest_if(True)],
        output:
            SNAPSHOT,
        log:
            f"{WORK}/logs/snapshot/{STUDY.name}.log",
        localrule: True
        conda:
            ENVIRONMENT
        params:
            python=PYTHON,
            script=SCRIPTS / "study.py",
        message:
            "Keep the study as it is now"
        shell:
            "{params.python} {params.script:q} --source {input:q} --study {output:q} > {log:q} 2>&1"


if EDITED:

    rule study:
        """Bring study.json up to date with the study's file."""
        input:
            newest_if(EDITED),
        output:
            update(STUDY_FILE),
        log:
            f"{WORK}/logs/study/{STUDY.name}.log",
        localrule: True
        conda:
            ENVIRONMENT
        params:
            python=PYTHON,
            script=SCRIPTS / "study.py",
        message:
            "Bring study.json up to date"
        shell:
            "{params.python} {params.script:q} --source {input:q} --study {output:q} > {log:q} 2>&1"
