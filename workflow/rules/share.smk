"""What is handed on: a page to send, and an archive to cite. Made only when asked for, and not committed.

Needs the results. Makes build/<study>.html and build/<study>-crate.zip.
"""


rule write_page:
    """Write the study's results as one HTML file that needs no network: verdicts, differences, curves, sortable runs."""
    input:
        lambda wildcards: records_of(wildcards.study) + tables_of(wildcards.study),
        code("study/*.py", "analysis/*.py", "report/*.py", "report/figures/*.py", "report/templates/*"),
        study=f"{RESULTS}/{{study}}/study.json",
    output:
        "build/{study}.html",
    log:
        f"{WORK}/logs/page/{{study}}.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        program=program("stage.py", "page"),
    message:
        "Write the results page of {wildcards.study}"
    shell:
        "{params.program} --study {input.study:q} --output {output:q} > {log:q} 2>&1"


rule pack:
    """Pack the study's results, and the workflow that made them, into an RO-Crate for an archive."""
    input:
        lambda wildcards: all_of(wildcards.study),
        sources=archived,
        study=f"{RESULTS}/{{study}}/study.json",
    output:
        "build/{study}-crate.zip",
    log:
        f"{WORK}/logs/crate/{{study}}.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        results=results_of,
        program=program("stage.py", "crate"),
        root=ROOT,
    message:
        "Pack the archive of {wildcards.study}"
    shell:
        "{params.program} --study {input.study:q} --files {params.results:q} --root {params.root:q}"
        " --sources {input.sources:q} --output {output:q} > {log:q} 2>&1"
