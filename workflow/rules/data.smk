"""The data: downloaded or read from a copy, checked, and brought to uint8 arrays that are mapped into memory.

Needs nothing. Makes work/data/<identity>/ with the images and labels of both splits.
"""


rule prepare:
    """Download or read the source, check it against its pinned checksum, and write the arrays."""
    output:
        IMAGES,
    log:
        f"{WORK}/logs/prepare/{{data}}.log",
    benchmark:
        f"{WORK}/benchmarks/prepare/{{data}}.tsv"
    conda:
        ENVIRONMENT
    params:
        data=data_of,
        cache=f"{WORK}/downloads",
        folder=lambda wildcards, output: os.path.dirname(output[0]),
        program=program("prepare.py"),
    message:
        "Prepare the data"
    shell:
        "{params.program} --data {params.data:q} --cache {params.cache:q} --output {params.folder:q} > {log:q} 2>&1"
