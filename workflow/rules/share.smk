"""What is handed on: a page to send, and an archive to cite. Made only when asked for, and not committed.

Needs the results. Makes build/<study>.html and build/<study>-crate.zip.
"""


localrules:
    page,
    crate,


# The files of the repository that the archive holds beside the results: enough to make these again.
REPOSITORY = SCRIPTS.parents[1]
ARCHIVED = ["Snakefile", "*.yaml", "*.md", "*.toml", "Makefile", "LICENSE", "CITATION.cff"]
ARCHIVED += [f"{folder}/**/*" for folder in ("config", "docs", "envs", "profiles", "src", "studies", "workflow")]
ARCHIVED = [path for pattern in ARCHIVED for path in sorted(REPOSITORY.glob(pattern)) if path.is_file()]
ARCHIVED = [local(str(path)) for path in ARCHIVED if path.suffix != ".pyc" and ".egg-info" not in str(path)]


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
        python=PYTHON,
        script=SCRIPTS / "page.py",
    message:
        "Write the results page"
    shell:
        "{params.python} {params.script:q} --study {input.study:q} --output {output:q} > {log:q} 2>&1"


rule crate:
    """Pack the study's results, and the workflow that made them, into an RO-Crate for an archive."""
    input:
        RECORDS,
        results=[*TABLES, *FIGURES, README],
        sources=lambda wildcards: ARCHIVED,  # of a function, braces in a path are no wildcards
        study=STUDY_FILE,
    output:
        f"build/{STUDY.name}-crate.zip",
    log:
        f"{WORK}/logs/crate/{STUDY.name}.log",
    conda:
        ENVIRONMENT
    params:
        python=PYTHON,
        root=REPOSITORY,
        script=SCRIPTS / "crate.py",
    message:
        "Pack the archive"
    shell:
        "{params.python} {params.script:q} --study {input.study:q} --results {input.results:q} --root {params.root:q}"
        " --sources {input.sources:q} --output {output:q} > {log:q} 2>&1"
