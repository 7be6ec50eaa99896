"""Write the JSON Schema of a study's file, for editors, from the types that declare it."""

from __future__ import annotations

import json
from typing import Any

from temporal_shortcuts.study.validation import schema

WIDTH = 140


def written(value: Any, indent: int = 0) -> str:
    """JSON with a line for each key, or for several where they fit on one."""
    line = json.dumps(value)
    if not isinstance(value, dict) or indent + len(line) <= WIDTH:
        return line
    space = " " * indent
    items = [f"{space} {json.dumps(key)}: {written(one, indent + 1)}" for key, one in value.items()]
    return "{\n" + ",\n".join(items) + f"\n{space}}}"


if __name__ == "__main__":
    print(written(schema()))
