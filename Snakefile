"""Temporal shortcuts, reproduced: from studies to their tables, figures and READMEs.

    snakemake demo --cores 2              a study by its name, in minutes; demo/lr_0.1 is one of its variants with all its seeds
    snakemake tables --cores 2            tables, figures and texts of every study whose records are there, and the front page; no training
    snakemake --cores all                 the published protocol (config.yaml; needs a GPU, for hours)
    snakemake --cores 2 --configfile X    a study's file, wherever it is; then also a stage of it: data, records, figures, readme
    snakemake page/demo crate/demo -c 1   a page to send, an archive to cite

One direction: source -> prepare -> segment -> ... -> record -> metrics -> tables, figures -> README.
"""

import os
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")

try:
    ROOT = Path(workflow.current_basedir)  # not basedir: as a module this is not the main Snakefile
except TypeError:
    sys.exit(
        "error: this workflow needs its src/ beside it: clone the repository, and name the Snakefile of the clone."
    )

sys.path.insert(0, str(ROOT / "src"))
# For the jobs: the package need not be installed, nor the environment activated.
for variable, folder in {"PYTHONPATH": ROOT / "src", "PATH": Path(sys.executable).parent}.items():
    os.environ[variable] = os.pathsep.join(filter(None, [str(folder), os.environ.get(variable)]))

from temporal_shortcuts import errors, folders

if any(word.startswith("--delete-a") for word in sys.argv):
    sys.exit(
        "error: --delete-all-output would delete records, which take hours to train: delete what you mean by hand."
    )
errors.main(lambda: folders.check_braces(ROOT, Path.cwd()))
errors.main(lambda: folders.check_space(Path()))  # before Snakemake writes its log here


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/collect.smk"
include: "workflow/rules/ladder.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/share.smk"
include: "workflow/rules/confirm.smk"
include: "workflow/rules/targets.smk"


rule all:
    """Everything that the results folder of the study holds that --configfile names, or else config.yaml."""
    default_target: True
    input:
        lambda wildcards: [*all_of(STUDY.name), *chosen_by(STUDY.name)],
    message:
        f"All of {RESULTS}/{STUDY.name}"


onstart:
    errors.main(check_start)


onsuccess:
    from temporal_shortcuts.terminal import ending

    jobs = [
        job for job in workflow.dag.needrun_jobs(False) if getattr(job.input, "source", True)
    ]  # a forced record needs none
    ending.succeeded(STUDIES.studies, Path(RESULTS), [path for job in jobs for path in job.output])


onerror:
    from temporal_shortcuts.terminal import ending

    jobs = [(str(job.output[0]), str(job.log[0])) for job in workflow.scheduler.failed if job.output]
    ending.failed(jobs, workflow.config_settings.configfiles, workflow.config_settings.config_args or [])
