"""What people look at: figures, the study's README, and blocks of it for the repository's README.

Needs the tables. Makes results/<study>/figures/, README.md and blocks/.
"""

from temporal_shortcuts.report import splicing

READMES = [name for name in ("README.md", "README.zh.md") if Path(name).is_file()]
ON_FRONT_PAGE = {study for name in READMES for study in splicing.shown(Path(name))}
IS_SHOWN = IN_PLACE and (STUDY.name in ON_FRONT_PAGE or IS_RUNG and "ladder" in ON_FRONT_PAGE)
FRONT_PAGE = [f"{WORK}/front_page/{STUDY.name}.done"] if IS_SHOWN else []


localrules:
    figures,
    draw,
    readme,
    write_readme,
    front_page,


rule figures:
    """All figures."""
    input:
        RECORDS,
        FIGURES,
    message:
        "All figures"


rule draw:
    """Draw the study's figures: SVG files that are the same bytes each time."""
    input:
        TABLES,
        code("study/*.py", "analysis/*.py", "report/*.py", "report/figures/*.py"),
        newest_if(STALE),
        study=STUDY_FILE,
    output:
        reported(FIGURES, "figure"),
    log:
        f"{WORK}/logs/draw/{STUDY.name}.log",
    benchmark:
        f"{WORK}/benchmarks/draw/{STUDY.name}.tsv"
    conda:
        ENVIRONMENT
    params:
        python=PYTHON,
        script=SCRIPTS / "draw.py",
    message:
        "Draw the figures"
    shell:
        "{params.python} {params.script:q} --study {input.study:q} > {log:q} 2>&1"


rule readme:
    """The study's README with its figures, and the repository's where it shows this study."""
    input:
        RECORDS,
        README,
        FIGURES,
        FRONT_PAGE,
    message:
        "The README"


rule write_readme:
    """Write the study's README and the blocks for the repository's, with every number from a table."""
    input:
        TABLES,
        code("study/*.py", "analysis/*.py", "report/*.py", "report/templates/*"),
        newest_if(STALE),
        study=STUDY_FILE,
    output:
        README,
    log:
        f"{WORK}/logs/readme/{STUDY.name}.log",
    conda:
        ENVIRONMENT
    params:
        python=PYTHON,
        script=SCRIPTS / "readme.py",
    message:
        "Write the README"
    shell:
        "{params.python} {params.script:q} --study {input.study:q} > {log:q} 2>&1"


rule front_page:
    """Put the study's blocks between their markers in the repository's README."""
    input:
        BLOCKS,
        LADDER,
        newest_if(FRONT_PAGE and not arguments.shows_blocks(READMES, Path("results"))),
    output:
        touch(f"{WORK}/front_page/{STUDY.name}.done"),
    log:
        f"{WORK}/logs/front_page/{STUDY.name}.log",
    conda:
        ENVIRONMENT
    params:
        python=PYTHON,
        script=SCRIPTS / "splice.py",
        readmes=READMES,
    message:
        "Put the study's blocks into the repository's README"
    shell:
        "{params.python} {params.script:q} {params.readmes:q} > {log:q} 2>&1"
