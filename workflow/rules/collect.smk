"""The tables: records gathered into CSV files, and the statistics made from them.

Needs the records. Makes results/<study>/*.csv. study.json is an input, so that an edited study makes them anew.
"""


localrules:
    tables,
    collect,
    analyse,


rule tables:
    """All tables."""
    input:
        RECORDS,
        TABLES,
    message:
        "All tables"


rule collect:
    """Gather the records: one row a run and epoch (metrics.csv), and one row a run (runs.csv)."""
    input:
        RECORDS,
        code("study/*.py", "analysis/*.py"),
        newest_if(STALE),
        study=STUDY_FILE,
    output:
        COLLECTED,
    log:
        f"{WORK}/logs/collect/{STUDY.name}.log",
    conda:
        ENVIRONMENT
    params:
        python=PYTHON,
        script=SCRIPTS / "collect.py",
    message:
        "Gather the records"
    shell:
        "{params.python} {params.script:q} --study {input.study:q} > {log:q} 2>&1"


rule analyse:
    """Summaries, stable epochs, paired comparisons with the benchmark, and a verdict for each claim."""
    input:
        COLLECTED,
        code("study/*.py", "analysis/*.py"),
        newest_if(STALE),
        study=STUDY_FILE,
    output:
        reported(ANALYSED, "table"),
    log:
        f"{WORK}/logs/analyse/{STUDY.name}.log",
    benchmark:
        f"{WORK}/benchmarks/analyse/{STUDY.name}.tsv"
    conda:
        ENVIRONMENT
    params:
        python=PYTHON,
        script=SCRIPTS / "analyse.py",
    message:
        "Make the tables"
    shell:
        "{params.python} {params.script:q} --study {input.study:q} > {log:q} 2>&1"
