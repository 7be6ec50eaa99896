"""The study that confirms what did best in another one, where that says how (its key `confirm`).

Needs the tables. Makes the other study's file, beside the first one's: which candidate it has follows from the tables by a rule
(analysis/choice.py), so that no old choice stands after a changed exploration.
"""

EXPLORING = {
    os.path.relpath(STUDIES.files[name].with_name(study.confirm.file)): name
    for name, study in STUDIES.studies.items()
    if study.confirm
}


rule choose:
    """Choose the best candidate from the tables, and write the study that confirms it."""
    input:
        lambda wildcards: tables_of(EXPLORING[wildcards.confirming]),
        code("study/*.py", "analysis/*.py"),
        study=lambda wildcards: f"{RESULTS}/{EXPLORING[wildcards.confirming]}/study.json",
    output:
        update("{confirming}"),
    log:
        f"{WORK}/logs/confirm/{{confirming}}.log",
    wildcard_constraints:
        confirming="|".join(map(re.escape, EXPLORING)) or "(?!)",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        data=lambda wildcards: json.dumps(STUDIES[EXPLORING[wildcards.confirming]].data.model_dump(), sort_keys=True),
        program=program("stage.py", "confirm"),
    message:
        "Choose what is confirmed"
    shell:
        "{params.program} --study {input.study:q} --data {params.data:q} --output {output:q} > {log:q} 2>&1"
