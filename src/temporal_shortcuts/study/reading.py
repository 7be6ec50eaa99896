"""The files of a study: read, put on top of what they extend, and named in the sentence that refuses a key of theirs."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml

from temporal_shortcuts.errors import UserError

Key = tuple[str | int, ...]
"""A key of a study: `("claims", 0, "than")`."""


_DEEPEST = 6
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


_NUMBER = re.compile(r"[-+]?(0|[1-9]\d*|(0|[1-9]\d*)?\.\d+|(0|[1-9]\d*)\.)([eE][-+]?\d+)?|[-+]?\.(inf|nan)", re.I)
"""A number that every reader of YAML takes for the same one: 1.1, which Snakemake reads, takes 010 for 8, 3:20 for 200, 1_0 for 10."""


class _Loader(yaml.SafeLoader):
    """Refuses a number that is not what it looks like, and a mapping with a duplicate key, of which YAML readers keep the last."""

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        kind = self.construct_yaml_int if node.tag.endswith("int") else self.construct_yaml_float
        read_as = kind(node)
        if not _NUMBER.fullmatch(node.value):
            line = node.start_mark.line + 1
            raise UserError(
                f"{self.name}, line {line}: found {node.value}, which YAML reads as the number {read_as}; write {read_as}, or "
                f"'{node.value}' in quotes if it is text."
            )
        return read_as

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                line = key.start_mark.line + 1
                raise UserError(f"{self.name}, line {line}: duplicate key {key.value!r}; remove one of them.")
            seen.add(key.value)
        return node


for _tag in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _Loader.construct_number)


def read(path: str | Path) -> Any:
    """The content of a YAML file. Raises `UserError` where it cannot be read, or has a duplicate key."""
    try:
        loader = _Loader(Path(path).read_text(encoding="utf-8"))
        loader.name = str(path)
        return loader.get_single_data()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; name a file of a study.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}.") from None


def merged(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Both, merged as Snakemake merges them: mappings key by key, anything else replaced."""
    result = dict(base)
    for key, value in overlay.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else value
    return result


class Source:
    """A configuration and the files that it was merged from, the one that counts last at the end.

    `config` is complete: what the files extend is below it, and text from the command line has become numbers.
    """

    def __init__(self, config: Any, files: Sequence[str | Path] = ()):
        self.contents = {str(file): read(file) for file in files}
        if not isinstance(config, Mapping):
            file = f"{next(reversed(self.contents))}: " if self.contents else ""
            raise UserError(f"{file}found {short(config)}, but a study must be a mapping of keys.")
        self.config = dict(config)
        self.config = _plain(self.config, (), self)
        if files:
            self.config = _numbers(self.config, self._merged_files())
        self._extend()
        self.config = _plain(self.config, (), self)

    def _merged_files(self) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for content in self.contents.values():
            result = merged(result, content if isinstance(content, Mapping) else {})
        return result

    def _extend(self) -> None:
        """Put the configuration on top of the file that it extends, and that on top of what it extends in turn."""
        name = at(self.config, ("extends",))
        where = next((file for file in reversed(self.contents) if at(self.contents[file], ("extends",)) == name), None)
        while (name := self.config.pop("extends", None)) is not None:
            path = (Path(where).parent if where else Path()) / str(name)
            if not isinstance(name, str) or not path.is_file():
                sentence = f"found {short(name)}, but it must be a study's file, seen from this one's folder."
                self.refuse(("extends",), sentence, file=where)
            if any(path.samefile(file) for file in self.contents):
                self.refuse(
                    ("extends",), f"found {short(name)}, but a study cannot extend itself; remove it.", file=where
                )
            content, where = read(path), _shown(path)
            if not isinstance(content, Mapping):
                raise UserError(f"{where}: found {short(content)}, but a study must be a mapping of keys.")
            self.contents = {where: content} | self.contents
            self.config = merged(content, self.config)

    def refuse(self, key: Key, sentence: str, cause: Key = (), file: str | None = None) -> NoReturn:
        """Refuse a key. `cause` is what stands in the file, where that is not the key itself."""
        name = ".".join(map(str, key))
        where = f"{file}: " if file else self._file(cause or key)
        raise UserError(f"{where}{name + ': ' if name else ''}{sentence}")

    def holds(self, key: Key) -> bool:
        """Whether the configuration has a key."""
        return at(self.config, key) is not _NOTHING

    def _file(self, key: Key) -> str:
        """The last file that has there what the configuration has, or else Snakemake's --config."""
        found = at(self.config, key)
        while found is _NOTHING:  # a missing key is missing from what should hold it
            key = key[:-1]
            found = at(self.config, key)
        for file, content in reversed(self.contents.items()):
            there = at(content, key)
            if repr(there) == repr(found) or (isinstance(there, Mapping) and isinstance(found, Mapping)):
                return f"{file}: "
        return "--config: " if self.contents else ""


def _plain(value: Any, key: Key, source: Source) -> Any:
    """A copy in plain dicts and lists, of what can be in a study at all: finite numbers and text of one line."""
    if len(key) > _DEEPEST:
        source.refuse(key[:1], "it is nested too deeply, or an alias that contains itself; write it out.")
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                source.refuse(key, f"the key {short(name)} is not text; write it in quotes.", (*key, name))
            _check_text(name, key, source, (*key, name))
        return {name: _plain(item, (*key, name), source) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, (*key, index), source) for index, item in enumerate(value)]
    if isinstance(value, str):
        _check_text(value, key, source)
    elif isinstance(value, float) and not math.isfinite(value):
        source.refuse(key, f"found {value}, but a number must be finite.")
    elif isinstance(value, int) and abs(value) >= 2**63:
        source.refuse(key, "found a whole number of 2^63 or more, but it must be smaller.")
    return value


def _check_text(text: str, key: Key, source: Source, cause: Key = ()) -> None:
    if text != text.strip() or _CONTROL.search(text):
        sentence = "but text must be one line, without spaces at its ends or control characters (in YAML, >- not >)."
        source.refuse(key, f"found {short(text)}, {sentence}", cause)


def _numbers(given: Any, files: Any) -> Any:
    """What is only on the command line, where Snakemake leaves the numbers in lists and mappings as text, as YAML reads it."""
    if isinstance(given, Mapping):
        return {key: _numbers(value, at(files, (key,))) for key, value in given.items()}
    if isinstance(given, list | tuple) and given != files:
        return [_numbers(value, _NOTHING) for value in given]
    if isinstance(given, str) and given != files:
        try:
            value = yaml.safe_load(given)
        except yaml.YAMLError:
            return given
        is_word = given.lower() in ("yes", "no", "on", "off")
        is_plain = isinstance(value, bool | None) or (isinstance(value, int | float) and _NUMBER.fullmatch(given))
        return value if is_plain and not is_word else given
    return given


def _shown(path: Path) -> str:
    """A path as short as it can be said from here."""
    whole, here = path.resolve(), Path.cwd()
    return str(whole.relative_to(here) if whole.is_relative_to(here) else whole)


_NOTHING = object()


def at(value: Any, key: Key) -> Any:
    """What is at a key, or `_NOTHING`, which equals no value."""
    try:
        for part in key:
            value = value[part]
    except (LookupError, TypeError):
        return _NOTHING
    return value


def short(value: Any) -> str:
    """A value on one line of at most 60 characters, as a sentence shows it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def nearest(word: Any, allowed: list[str]) -> str:
    """The allowed word that is nearest to a misspelt one, as a question in parentheses, or nothing."""
    near = difflib.get_close_matches(str(word)[:100], allowed, 1)
    return f" (did you mean {near[0]!r}?)" if near else ""
