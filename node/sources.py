"""Sources: gathers options from flags, variables, a file and what is set for Juno, each a text that knows its origin.

Precedence: flag > ``HERA_`` variable > ``JUNO_`` variable > file > default. What Juno has and Hera has no use for is
taken, and said once.
"""

import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from node import juno

ENV_PREFIX = "HERA_"
YAML_SUFFIXES = (".yaml", ".yml")
NO_COLOR = "NO_COLOR"  # https://no-color.org: any text but the empty one


class ConfigError(Exception):
    """The configuration cannot be run; the text is one line that names what is wrong and what to do.

    ``names`` are the options of which some must go for it to be so no more, where that is known.
    """

    def __init__(self, line: str, *names: str) -> None:
        super().__init__(line)
        self.names = names


@dataclass(frozen=True)
class Key:
    """One option: its name as a flag, what TOML may hold (``kind``), and its words in the help text."""

    name: str
    kind: str  # text | bool | int | list
    help: str
    metavar: str = "TEXT"
    default: str = ""
    secret_of: str = ""  # the rows of the pipeline page whose processes alone are told it


@dataclass(frozen=True)
class Value:
    """A text and where it was set, for the error line."""

    text: str
    origin: str


@dataclass(frozen=True)
class Given:
    """What was set, by option, the strongest origin alone; and what a person should know of how it was read."""

    values: Mapping[str, Value]
    read_as_juno: tuple[str, ...]  # variables of Juno's that were taken as Hera's
    unused: tuple[str, ...]  # origins of what has no meaning, each with why


def gather(
    keys: Sequence[Key],
    flags: Mapping[str, str],
    environ: Mapping[str, str],
    path: str | None,
    without: Collection[str] = (),
) -> Given:
    """Join all sources, but for the options ``without``; ConfigError, one line, for a file that cannot be used."""
    file = None if "config" in without else config_file(environ, path)
    names = tuple(key.name for key in keys)
    from_file = {} if file is None else _from_file(file, keys, without)
    from_juno = _from_juno(environ)
    layers = (
        {"colour": Value("false", NO_COLOR)} if environ.get(NO_COLOR) else {},
        from_file,
        from_juno,
        _from_environ(environ, names),
        {name: Value(text, f"--{name}") for name, text in flags.items()},
    )
    found: dict[str, Value] = {}
    for layer in layers:
        found |= layer
    values = {name: value for name, value in found.items() if name in names and name not in without}
    used = [value.origin for name, value in from_juno.items() if values.get(name) == value]
    unused = [
        f"{value.origin} ({juno.UNUSED.get(name, 'unknown')})"
        for layer in layers
        for name, value in layer.items()
        if name not in names
    ]
    return Given(values, tuple(used), tuple(unused))


def variable(name: str) -> str:
    """Return the environment variable of option ``name``."""
    return ENV_PREFIX + name.upper().replace("-", "_")


def config_file(environ: Mapping[str, str], path: str | None) -> Path | None:
    """Return the file of options: that of ``--config``, else of ``HERA_CONFIG``, else of ``JUNO_CONFIG``."""
    if path is None:
        path = environ.get(variable("config")) or environ.get(juno.variable("config"), "")
    return Path(path) if path else None


def _from_environ(environ: Mapping[str, str], names: Iterable[str]) -> dict[str, Value]:
    known = ((name, variable(name)) for name in names)
    return {name: Value(environ[said], said) for name, said in known if environ.get(said)}


def _from_juno(environ: Mapping[str, str]) -> dict[str, Value]:
    said = (name for name, text in environ.items() if name.startswith(juno.ENV_PREFIX) and text)
    found = {juno.option(name): Value(environ[name], name) for name in said}
    found.pop("config", None)
    return found


# ---- files ------------------------------------------------------------------------------------------------------


def _from_file(path: Path, keys: Sequence[Key], without: Collection[str]) -> dict[str, Value]:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"--config: {path} does not exist: create it or correct the path", "config"
        ) from None
    except OSError as error:
        raise ConfigError(f"--config: {path} cannot be read: {error.strerror}", "config") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"--config: {path} is no text: {error}", "config") from None
    is_yaml = path.suffix.lower() in YAML_SUFFIXES
    table = _yaml(text, path) if is_yaml else _toml(text, path)
    return {
        name: _file_value(name, value, path, keys)
        for name, value in table.items()
        if name not in without
    }


def _toml(text: str, path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"--config: {path} is no valid TOML: {error} (a file of Juno's must end in .yaml)",
            "config",
        ) from None


def _yaml(text: str, path: Path) -> dict[str, object]:
    """Read every value as it is written: a key of digits is no number, nor ``0x1`` another one."""
    import yaml  # here, for a quick start: few have such a file

    try:
        table = yaml.load(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = "" if mark is None else f"line {mark.line + 1}: "
        raise ConfigError(
            f"--config: {path} is no valid YAML: {where}{problem or 'unreadable'}", "config"
        ) from None
    if table in (None, ""):
        return {}
    if not isinstance(table, dict):
        raise ConfigError(
            f"--config: {path} holds no options: give lines of the form key: value", "config"
        )
    return {str(name): value for name, value in table.items()}


def _file_value(name: str, value: object, path: Path, keys: Sequence[Key]) -> Value:
    key = next((key for key in keys if key.name == name), None)
    origin = f"{name} in {path}"
    if key is None:
        if name in juno.UNUSED:
            return Value("", origin)
        near = get_close_matches(name, [key.name for key in keys], 1)
        hint = f"did you mean {near[0]}?" if near else "remove it; hera --help lists the keys"
        raise ConfigError(f"{origin}: there is no such key: {hint}", name)
    if path.suffix.lower() in YAML_SUFFIXES and isinstance(value, str):
        return Value(value, origin)  # YAML's own types are not asked for
    match key.kind, value:
        case "bool", bool():
            return Value(str(value).lower(), origin)
        case "int", int() if not isinstance(value, bool):
            return Value(str(value), origin)
        case "text" | "list", str():
            return Value(value, origin)
        case "list", list() if all(_is_item(item) for item in value):
            return Value(",".join(str(item) for item in value) or "[]", origin)
        case "text", int() if name == "cn-l1-chain-id" and not isinstance(value, bool):
            return Value(str(value), origin)
    wanted = {
        "bool": "true or false, without quotes",
        "int": "a whole number, without quotes",
        "text": "a string in quotes",
        "list": "a string, or a list",
    }
    raise ConfigError(f"{origin}: give {wanted[key.kind]}", name)


def _is_item(item: object) -> bool:
    return isinstance(item, str | int) and not isinstance(item, bool)
