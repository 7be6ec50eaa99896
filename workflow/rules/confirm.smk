"""The study that confirms what did best in this one, where this one says how (its key `confirm`).

Needs the tables. Makes the other study's file, beside this one's: which candidate it has follows from the tables by a rule
(analysis/choice.py), so that no old choice stands after a changed exploration.
"""

if CONFIRMING:

    rule confirm:
        """Choose the best candidate from the tables, and write the study that confirms it."""
        input:
            TABLES,
            code("study/*.py", "analysis/*.py"),
            newest_if(STALE),
            study=STUDY_FILE,
        output:
            update(CONFIRMING),
        log:
            f"{WORK}/logs/confirm/{STUDY.name}.log",
        localrule: True
        conda:
            ENVIRONMENT
        params:
            data=json.dumps(config["data"], sort_keys=True),
            python=PYTHON,
            script=SCRIPTS / "confirm.py",
        message:
            "Choose what is confirmed"
        shell:
            "{params.python} {params.script:q} --study {input.study:q} --data {params.data:q} --output {output:q} > {log:q} 2>&1"
