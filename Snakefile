"""Temporal shortcuts, reproduced: from a study to its tables, figures and README.

    snakemake --cores all                                        the published protocol (config.yaml; needs a GPU, for hours)
    snakemake --cores 2 --configfile studies/demo.yaml           the demo, in minutes
    snakemake NAME --cores 2 --configfile studies/demo.yaml      one variant with all its seeds, or a stage:
                                                                 data, records, tables, figures, readme, page, crate

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

errors.main(lambda: folders.check_braces(ROOT, Path.cwd()))
errors.main(lambda: folders.check_space(Path()))  # before Snakemake writes its log here


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/study.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/collect.smk"
include: "workflow/rules/ladder.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/share.smk"
include: "workflow/rules/confirm.smk"


rule all:
    """Everything that the study's results folder holds, and the repository's README where it shows this study."""
    default_target: True
    input:
        RECORDS,
        TABLES,
        FIGURES,
        README,
        FRONT_PAGE,
        LADDER,
        CONFIRMING,
    message:
        f"All of {RESULTS}"


onstart:
    errors.main(check_start)


onsuccess:
    from temporal_shortcuts.terminal import ending

    ending.succeeded(
        STUDY, Path(RESULTS), [path for job in workflow.dag.needrun_jobs(False) for path in job.output]
    )


onerror:
    from temporal_shortcuts.terminal import ending

    jobs = [(str(job.output[0]), str(job.log[0])) for job in workflow.scheduler.failed if job.output]
    ending.failed(jobs, workflow.config_settings.configfiles, workflow.config_settings.config_args or [])
