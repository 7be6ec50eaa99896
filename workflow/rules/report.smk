"""What people look at: figures, the study's README, and the pieces of it for the repository's README.

Needs the tables. Makes results/<study>/figures/, README.md and blocks/.
"""


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
        script=SCRIPTS / "draw.py",
    message:
        "Draw the figures"
    shell:
        "python {params.script:q} --study {input.study:q} > {log:q} 2>&1"


rule readme:
    """The study's README with its figures, and the repository's where it shows this study."""
    input:
        RECORDS,
        README,
        FIGURES,
        FRONT_PAGE if config["front_page"] else [],
    message:
        "The README"


rule write_readme:
    """Write the study's README and the pieces for the repository's, with every number from a table."""
    input:
        TABLES,
        code("study/*.py", "analysis/*.py", "report/*.py", "report/templates/*"),
        study=STUDY_FILE,
    output:
        README,
    log:
        f"{WORK}/logs/readme/{STUDY.name}.log",
    conda:
        ENVIRONMENT
    params:
        script=SCRIPTS / "readme.py",
    message:
        "Write the README"
    shell:
        "python {params.script:q} --study {input.study:q} > {log:q} 2>&1"


rule front_page:
    """Put the study's pieces between their markers in the repository's README."""
    input:
        BLOCKS,
    output:
        touch(FRONT_PAGE),
    log:
        f"{WORK}/logs/front_page/{STUDY.name}.log",
    conda:
        ENVIRONMENT
    params:
        script=SCRIPTS / "splice.py",
        readmes=["README.md", "README.zh.md"],
    message:
        "Put the study's pieces into the repository's README"
    shell:
        "python {params.script:q} {params.readmes:q} > {log:q} 2>&1"
