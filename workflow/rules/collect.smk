"""The tables: records gathered into CSV files, and the statistics made from them.

Needs the records. Makes results/<study>/*.csv, and study.json, from which all that follows knows the study.
"""


rule collect:
    """Gather the records: one row a run and epoch (metrics.csv), and one row a run (runs.csv)."""
    input:
        lambda wildcards: records_of(wildcards.study),
        code("study/*.py", "analysis/*.py"),
        study=told(lambda wildcards: kept(wildcards.study)),
    output:
        f"{RESULTS}/{{study}}/study.json",
        f"{RESULTS}/{{study}}/metrics.csv",
        f"{RESULTS}/{{study}}/runs.csv",
    log:
        f"{WORK}/logs/collect/{{study}}.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        results=lambda wildcards: f"{RESULTS}/{wildcards.study}",
        program=program("stage.py", "collect"),
    message:
        "Gather the records of {wildcards.study}"
    shell:
        "{params.program} --study {input.study:q} --results {params.results:q} > {log:q} 2>&1"


rule analyse:
    """Summaries, stable epochs, paired comparisons with the benchmark, a verdict for each claim, and what else the study's variants ask for."""
    input:
        f"{RESULTS}/{{study}}/metrics.csv",
        f"{RESULTS}/{{study}}/runs.csv",
        code("study/*.py", "analysis/*.py"),
        study=f"{RESULTS}/{{study}}/study.json",
    output:
        [
            report(
                f"{RESULTS}/{{study}}/{name}",
                "../report/table.rst",
                category="Tables",
                labels={"table": Path(name).stem},
            )
            for name in outputs.TABULATED
        ],
    log:
        f"{WORK}/logs/analyse/{{study}}.log",
    benchmark:
        f"{WORK}/benchmarks/analyse/{{study}}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        program=program("stage.py", "analyse"),
    message:
        "Make the tables of {wildcards.study}"
    shell:
        "{params.program} --study {input.study:q} > {log:q} 2>&1"
