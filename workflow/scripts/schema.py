"""Write the JSON Schema of a study's file, for editors, from the types that declare it."""

from __future__ import annotations

import json
import sys

from temporal_shortcuts.study.validation import schema

if __name__ == "__main__":
    json.dump(schema(), sys.stdout, indent=1)
    print()
