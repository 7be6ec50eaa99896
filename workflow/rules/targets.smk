"""What a person can type: each study by its name, each of its variants, the stages of the study of --configfile, and what shows all studies.

A stage's name goes before a study's: a study called `confirm` is run with --configfile.
"""

from temporal_shortcuts.study.checks import RESERVED

for name, files in targets().items():

    rule:
        name:
            name
        input:
            told(lambda wildcards, files=files: files()),
        localrule: True
        message:
            f"All of {name}"
