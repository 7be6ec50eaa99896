"""The ladder: what the studies that studies/ladder.yaml names have found, in one table and one figure.

Needs the tables of those that are finished; the others are said to be in progress. Makes results/ladder/.
"""

LADDER = [f"{RESULTS}/ladder/{name}" for name in ladders.FILES]


rule gather:
    """Collect the ladder's studies into its tables, a figure and a text."""
    input:
        told(ladder_kept),
        code("study/*.py", "analysis/*.py", "networks/**/*.py", "report/**/*.py", "report/templates/*"),
        sources=told(ladder_from),
        ladder=str(ladders.FILE),
    output:
        update(LADDER),  # else a slip in the text would delete them
    log:
        f"{WORK}/logs/ladder.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        results=lambda wildcards: RESULTS,
        program=program("ladder.py"),
    message:
        "Collect the ladder"
    shell:
        "{params.program} --ladder {input.ladder:q} --results {params.results:q} --sources {input.sources:q} > {log:q} 2>&1"
