"""What people look at: figures, the study's README, and the pieces of it for the repository's README.

Needs the tables. Makes results/<study>/figures/, README.md and blocks/, and on demand build/<study>.html and its archive.
"""


localrules:
    figures,
    draw,
    readme,
    write_readme,
    front_page,
    page,
    crate,


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


ARCHIVED = ("Snakefile", "*.yaml", "*.md", "*.toml", "Makefile", "LICENSE", "CITATION.cff")
ARCHIVED += tuple(f"{folder}/**/*" for folder in ("config", "docs", "envs", "profiles", "src", "studies", "workflow"))


def archived(wildcards):
    """The files of the repository that the archive holds beside the results: enough to make these again."""
    root = SCRIPTS.parents[1]
    paths = sorted(path for pattern in ARCHIVED for path in root.glob(pattern) if path.is_file())
    return [local(str(path)) for path in paths if "__pycache__" not in path.parts and ".egg-info" not in str(path)]


rule page:
    """Write the study's results as one HTML file that needs no network: verdicts, differences, curves, sortable runs."""
    input:
        RECORDS,
        TABLES,
        code("study/*.py", "analysis/*.py", "report/*.py", "report/figures/*.py", "report/templates/*"),
        study=STUDY_FILE,
    output:
        f"build/{STUDY.name}.html",
    log:
        f"{WORK}/logs/page/{STUDY.name}.log",
    conda:
        ENVIRONMENT
    params:
        script=SCRIPTS / "page.py",
    message:
        "Write the results page"
    shell:
        "python {params.script:q} --study {input.study:q} --output {output:q} > {log:q} 2>&1"


rule crate:
    """Pack the study's results, and the workflow that made them, into an RO-Crate for an archive."""
    input:
        RECORDS,
        results=[*TABLES, *FIGURES, *README],
        sources=archived,
        study=STUDY_FILE,
    output:
        f"build/{STUDY.name}-crate.zip",
    log:
        f"{WORK}/logs/crate/{STUDY.name}.log",
    conda:
        ENVIRONMENT
    params:
        root=SCRIPTS.parents[1],
        script=SCRIPTS / "crate.py",
    message:
        "Pack the archive"
    shell:
        "python {params.script:q} --study {input.study:q} --results {input.results:q} --root {params.root:q}"
        " --sources {input.sources:q} --output {output:q} > {log:q} 2>&1"
