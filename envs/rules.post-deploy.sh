#!/usr/bin/env bash
# Run by Snakemake in the new conda environment, in the folder where snakemake was called.
set -euo pipefail
python -m pip install --require-hashes --no-deps -r envs/requirements.lock
