"""What is set for Juno works for Hera: its variables, its YAML file, its flags; each with its place in the order."""

from itertools import product
from pathlib import Path

import pytest

from node import juno
from node.config import KEYS, ConfigError, load
from tests.node.test_cli import hera
from tests.node.test_config import CUSTOM, PEER

ORIGINS = ("flag", "HERA_", "JUNO_", "file")


@pytest.mark.parametrize("here", list(product((True, False), repeat=4)))
@pytest.mark.parametrize("suffix", ["yaml", "yml", "toml"])
def test_flag_goes_before_heras_variable_before_junos_before_file_before_default(
    tmp_path: Path, here: tuple[bool, ...], suffix: str
) -> None:
    ports = dict(zip(ORIGINS, ("7000", "7001", "7002", "7003"), strict=True))
    file = tmp_path / f"config.{suffix}"
    line = "http-port: 7003" if suffix != "toml" else "http-port = 7003"
    file.write_text(line if here[3] else "")
    environ = {
        f"{prefix}HTTP_PORT": ports[prefix]
        for prefix, is_here in zip(ORIGINS[1:3], here[1:3], strict=True)
        if is_here
    }
    flags = {"http-port": "7000"} if here[0] else {}

    config = load(flags, environ, config=str(file))

    given = [ports[name] for name, is_here in zip(ORIGINS, here, strict=True) if is_here]
    assert str(config.http_port) == [*given, "6060"][0]
    is_junos = here[2] and not here[0] and not here[1]
    assert config.read_as_juno == (("JUNO_HTTP_PORT",) if is_junos else ())


def test_a_file_of_junos_is_read_as_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "juno.yaml"
    file.write_text(
        f"""# a Juno node
log-level: "DEBUG"
colour: false
http: true
http-port: 7000
p2p: true
p2p-peers: {PEER}
p2p-private-key: {"12" * 32}
cn-name: devnet
cn-feeder-url: {CUSTOM["cn-feeder-url"]}
cn-gateway-url: {CUSTOM["cn-gateway-url"]}
cn-l1-chain-id: 0x7a69
cn-l2-chain-id: SN_HERA_DEVNET
cn-core-contract-address: 0x{"ab" * 20}
cn-unverifiable-range: [0, 10]
gw-timeout: 5s
eth-node: ws://127.0.0.1:8546
pprof: true
"""
    )

    config = load({}, {"JUNO_CONFIG": str(file)})

    assert (config.log_level, config.colour, config.http, config.http_port) == (
        *("debug", False, True, 7000),
    )
    assert (config.p2p, config.p2p_peers) == (True, (PEER,))
    assert config.p2p_private_key == bytes.fromhex("12" * 32)
    assert config.network == load(CUSTOM, {}).network
    assert config.unused == (
        f"eth-node in {file} (L1 is not followed)",
        f"pprof in {file} (there is no such server)",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http: [true", "is no valid YAML: line 1: "),
        ("http: maybe", 'http in {}: "maybe" is neither true nor false'),
        ("http:\n  port: 7", "http in {}: give true or false"),
        ("htpt: true", "htpt in {}: there is no such key: did you mean http?"),
        ("just words", "holds no options"),
        ("- a\n- b", "holds no options"),
        ("network: sepolia\n\tx: 1", "is no valid YAML: line 2: "),
    ],
)
def test_a_bad_yaml_file_is_one_line_that_names_it(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "juno.yaml"
    file.write_text(text)

    with pytest.raises(ConfigError) as refused:
        load({}, {}, config=str(file))

    assert said.format(file) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_empty_yaml_file_sets_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("# nothing\n")
    assert load({}, {}, config=str(tmp_path / "a.yaml")) == load({}, {})


def test_a_bad_variable_of_junos_is_named() -> None:
    with pytest.raises(ConfigError, match=r'^JUNO_HTTP_PORT: "x" is no whole number'):
        load({}, {"JUNO_HTTP_PORT": "x"})


def test_variables_of_junos_without_meaning_are_told_with_their_reason() -> None:
    config = load({}, {"JUNO_MAX_VMS": "3", "JUNO_ODD": "1", "JUNO_NETWORK": "", "HERA_ODD": "1"})

    assert config.read_as_juno == ()
    assert config.unused == (
        f"JUNO_MAX_VMS ({juno.UNUSED['max-vms']})",
        "JUNO_ODD (unknown)",
    )


def test_flags_of_junos_without_meaning_are_taken_in_each_form() -> None:
    words = ["--pprof", "--eth-node", "ws://x", "--grpc=true", "--max-vms=3", "--log-level", "loud"]
    result = hera(*words)
    assert (result.exit_code, result.stderr) == (
        78,
        'Error: --log-level: "loud" is not one of trace, debug, info, warn, error\n',
    )
    assert "pprof" not in hera("--help").stdout


def test_no_option_of_heras_is_called_unused() -> None:
    names = {key.name for key in KEYS}
    reserved = {name for name in juno.UNUSED if name.partition("-")[0] == "ws"}
    assert not (juno.UNUSED.keys() - reserved) & names
    assert set(juno.UNUSED) >= juno.BOOLEANS


def test_a_node_is_not_told_what_was_read_for_it_twice() -> None:
    config = load({}, {"JUNO_NETWORK": "sepolia", "JUNO_ETH_NODE": "ws://x"})

    child = load({}, config.environment())

    assert child.network == config.network
    assert (config.read_as_juno, len(config.unused)) == (("JUNO_NETWORK",), 1)
    assert (child.read_as_juno, child.unused) == ((), ())


@pytest.mark.parametrize(
    ("flags", "environ", "colour"),
    [
        ({}, {}, True),
        ({}, {"NO_COLOR": "1"}, False),
        ({}, {"NO_COLOR": ""}, True),
        ({"colour": "true"}, {"NO_COLOR": "1"}, True),
        ({"colour": "false"}, {}, False),
        ({}, {"JUNO_COLOUR": "false"}, False),
    ],
)
def test_colour_is_for_who_wants_it(
    flags: dict[str, str], environ: dict[str, str], colour: bool
) -> None:
    assert load(flags, environ).colour is colour


def test_structured_logs_have_a_short_name() -> None:
    assert load({"log-json": "true"}, {}).log_format == "json"
    assert load({"log-json": "false", "log-format": "json"}, {}).log_format == "json"
    assert load({"log-json": "false"}, {}).log_format == "console"


def test_a_database_of_junos_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "CURRENT").write_text("MANIFEST-000001\n")
    config = load({}, {"JUNO_DB_PATH": str(tmp_path)})

    with pytest.raises(ConfigError, match="holds another program's database"):
        config.make_folders()

    assert [path.name for path in tmp_path.iterdir()] == ["CURRENT"]
