"""What people look at: a study's figures and README, and the front page.

Needs the tables. Makes results/<study>/figures/ and README.md; and README.md of README.in.md, in which people write and the build puts the
numbers.
"""


rule draw:
    """Draw the study's figures: SVG files that are the same bytes each time."""
    input:
        lambda wildcards: tables_of(wildcards.study),
        code("study/*.py", "analysis/*.py", "report/*.py", "report/figures/*.py"),
        study=f"{RESULTS}/{{study}}/study.json",
    output:
        report(
            directory(f"{RESULTS}/{{study}}/figures"),
            "../report/figure.rst",
            patterns=["{figure}.svg"],
            category="Figures",
            labels={"figure": "{figure}"},
        ),
    log:
        f"{WORK}/logs/draw/{{study}}.log",
    benchmark:
        f"{WORK}/benchmarks/draw/{{study}}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    params:
        program=program("stage.py", "draw"),
    message:
        "Draw the figures of {wildcards.study}"
    shell:
        "{params.program} --study {input.study:q} > {log:q} 2>&1"


rule write_readme:
    """Write the study's README from its tables, and from what a person wrote beside the study's file."""
    input:
        lambda wildcards: tables_of(wildcards.study),
        lambda wildcards: text_of(wildcards.study),
        code("study/*.py", "analysis/*.py", "report/*.py", "report/templates/*"),
        figures=f"{RESULTS}/{{study}}/figures",
        study=f"{RESULTS}/{{study}}/study.json",
    output:
        update(f"{RESULTS}/{{study}}/README.md"),
    log:
        f"{WORK}/logs/readme/{{study}}.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        text=lambda wildcards: ["--text", *text_of(wildcards.study)] if text_of(wildcards.study) else [],
        program=program("stage.py", "readme"),
    message:
        "Write the README of {wildcards.study}"
    shell:
        "{params.program} --study {input.study:q} {params.text:q} > {log:q} 2>&1"


FRONT_TEXTS = sorted(map(str, Path().glob("README*.in.md")))


rule front_page:
    """Put the studies' numbers into the text of the repository's README."""
    input:
        told(front_page_from),
        code("report/prose.py", "report/numbers.py", "study/outputs.py"),
        text="README{language}.in.md",
    output:
        update("README{language}.md"),  # else a slip in the text would delete the page
    log:
        f"{WORK}/logs/front_page/README{{language}}.log",
    wildcard_constraints:
        language="|".join(["(?!)", *(re.escape(text[6:-6]) for text in FRONT_TEXTS)]),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        results=lambda wildcards: RESULTS,
        program=program("front_page.py"),
    message:
        "Put the studies' numbers into {output}"
    shell:
        "{params.program} --results {params.results:q} {input.text:q} > {log:q} 2>&1"
