"""study.json: what the results folder shows, as declared. It is the input of all cheap stages, and of each training job.

Needs nothing. It is written again when the study was edited, and by a job: asking what would be done writes nothing.
"""

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
