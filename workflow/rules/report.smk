"""What people look at: figures, the study's README, and the repository's README.

Needs the tables. Makes results/<study>/figures/ and README.md; and README.md of README.in.md, where that names this study.
"""

from temporal_shortcuts.report import prose

FRONT_TEXTS = [name for name in ("README.in.md", "README.zh.in.md") if Path(name).is_file()]
ON_FRONT_PAGE = {study for name in FRONT_TEXTS for study in prose.named(Path(name).read_text(errors="replace"))}
TEXT = [str(path) for path in [Path(os.path.relpath(FILE)).with_suffix(".md")] if path.is_file()]
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
    """Write the study's README from its tables, and from what a person wrote beside the study's file."""
    input:
        TABLES,
        code("study/*.py", "analysis/*.py", "report/*.py", "report/templates/*"),
        newest_if(STALE),
        study=STUDY_FILE,
        text=TEXT,
    output:
        README,
    log:
        f"{WORK}/logs/readme/{STUDY.name}.log",
    conda:
        ENVIRONMENT
    params:
        python=PYTHON,
        script=SCRIPTS / "readme.py",
        text=["--text", *TEXT] if TEXT else [],
    message:
        "Write the README"
    shell:
        "{params.python} {params.script:q} --study {input.study:q} {params.text:q} > {log:q} 2>&1"


rule front_page:
    """Put the studies' numbers into the text of the repository's README."""
    input:
        TABLES,
        LADDER,
        code("report/prose.py", "report/numbers.py"),
        newest_if(FRONT_PAGE and not arguments.is_filled(FRONT_TEXTS, Path("results"))),
        texts=FRONT_TEXTS,
    output:
        touch(f"{WORK}/front_page/{STUDY.name}.done"),
    log:
        f"{WORK}/logs/front_page/{STUDY.name}.log",
    conda:
        ENVIRONMENT
    params:
        python=PYTHON,
        script=SCRIPTS / "front_page.py",
    message:
        "Put the studies' numbers into the repository's README"
    shell:
        "{params.python} {params.script:q} {input.texts:q} > {log:q} 2>&1"
