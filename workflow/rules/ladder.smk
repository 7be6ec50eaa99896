"""The study of studies: what the studies that studies/ladder.yaml names have found, in one table and one figure.

Needs the tables of those that are finished; the others are said to be in progress. Makes results/ladder/. Its output is a mark for each
study, as for the front page, so that two rungs can run at once and each collects what is there when it ends.
"""

from temporal_shortcuts.study import ladder as ladders


localrules:
    ladder,


RUNGS = ladders.rungs_of(ladders.FILE) if ladders.FILE.is_file() else []
IS_RUNG = STUDY.name in RUNGS and IN_PLACE
COLLECTS = [f"results/{rung}/{name}" for rung in RUNGS if rung != STUDY.name for name in ladders.NEEDED]
DECLARED = [path for path in (f"studies/{rung}.yaml" for rung in RUNGS) if os.path.isfile(path)]
LADDER = [f"{WORK}/ladder/{STUDY.name}.done"] if IS_RUNG else []


rule ladder:
    """Collect the ladder's studies into its tables, a figure and a text."""
    input:
        code(
            "study/*.py",
            "analysis/*.py",
            "networks/**/*.py",
            "report/*.py",
            "report/figures/*.py",
            "report/templates/*",
        ),
        newest_if(not all(Path("results/ladder", name).is_file() for name in ladders.FILES)),
        TABLES if IS_RUNG else [],
        [path for path in COLLECTS if os.path.isfile(path)],
        DECLARED if IS_RUNG else [],
        [path for path in [str(ladders.FILE.with_suffix(".md"))] if os.path.isfile(path)],
        ladder=str(ladders.FILE),
    output:
        touch(f"{WORK}/ladder/{STUDY.name}.done"),
    log:
        f"{WORK}/logs/ladder/{STUDY.name}.log",
    conda:
        ENVIRONMENT
    params:
        python=PYTHON,
        script=SCRIPTS / "ladder.py",
    message:
        "Collect the ladder"
    shell:
        "{params.python} {params.script:q} --ladder {input.ladder:q} --results results > {log:q} 2>&1"
