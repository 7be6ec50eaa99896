"""Temporal shortcuts, reproduced: from a study to its tables, figures and README.

    snakemake --cores all                                        the published protocol (config.yaml; needs a GPU or days)
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

sys.path.insert(0, str(Path(workflow.basedir) / "src"))
os.environ |= {"PYTHONPATH": sys.path[0]}  # of the jobs, so that the package need not be installed

from temporal_shortcuts.study import complaints
from temporal_shortcuts import errors, places

errors.main(lambda: places.check_space(Path()))  # before Snakemake writes its log here
if os.path.exists("config.yaml"):
    errors.main(lambda: complaints.read("config.yaml"))  # names the line of a slip, which Snakemake does not


configfile: "config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/collect.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/share.smk"


rule all:
    """Everything that the study's results folder holds."""
    default_target: True
    input:
        RECORDS,
        TABLES,
        FIGURES,
        README,
    message:
        f"All of {RESULTS}"


onstart:
    errors.main(lambda: [places.check(Path(folder)) for folder in (RESULTS, WORK)])
    errors.main(
        lambda: places.claim((path for job in workflow.dag.needrun_jobs() for path in job.output), Path(WORK))
    )


onsuccess:
    from temporal_shortcuts.terminal import ending

    ending.succeeded(
        STUDY, Path(RESULTS), [path for job in workflow.dag.needrun_jobs(False) for path in job.output]
    )


onerror:
    from temporal_shortcuts.terminal import ending

    jobs = [(str(job.output[0]), str(job.log[0])) for job in workflow.scheduler.failed if job.output]
    ending.failed(jobs, workflow.config_settings.configfiles, workflow.config_settings.config_args or [])
