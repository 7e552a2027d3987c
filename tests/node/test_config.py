"""Configuration: precedence, forms, and one line for each kind of bad input."""

import os
import stat
from itertools import product
from pathlib import Path

import pytest

from node.config import ConfigError, cores, load
from workers.p2p import keys

PEER_ID = "12D3KooWLdURCjbp1D7hkXWk6ZVfcMDPtsNnPHuxoTcWXFtvrxGG"
PEER = f"/ip4/203.0.113.7/tcp/7777/p2p/{PEER_ID}"
CUSTOM = {
    "cn-name": "devnet",
    "cn-feeder-url": "http://127.0.0.1:8085",
    "cn-gateway-url": "http://127.0.0.1:8085/gateway/",
    "cn-l1-chain-id": "0x7a69",
    "cn-l2-chain-id": "SN_HERA_DEVNET",
    "cn-core-contract-address": "0x" + "ab" * 20,
    "cn-unverifiable-range": "[0, 10]",
}
# option, attribute, and for each origin a text with the value it stands for
SAMPLES = [
    ("network", "network.name", ("sepolia", "mainnet", "sepolia-integration")),
    ("log-level", "log_level", ("debug", "warn", "error")),
    ("http-port", "http_port", ("7000", "7001", "7002")),
    ("http", "http", ("true", "false", "true")),
    ("p2p-addr", "p2p_addr", ("/ip4/1.1.1.1/tcp/1", "/ip4/1.1.1.1/tcp/2", "/ip4/1.1.1.1/tcp/3")),
]


def attribute(config: object, path: str) -> object:
    for name in path.split("."):
        config = getattr(config, name)
    return config


def as_text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def toml(name: str, text: str) -> str:
    bare = text in ("true", "false") or text.isdigit()
    return f"{name} = {text if bare else f'{chr(34)}{text}{chr(34)}'}\n"


@pytest.mark.parametrize("where", list(product((True, False), repeat=3)))
@pytest.mark.parametrize(("name", "path", "texts"), SAMPLES)
def test_flag_goes_before_environment_before_file_before_default(
    tmp_path: Path, name: str, path: str, texts: tuple[str, str, str], where: tuple[bool, ...]
) -> None:
    in_flag, in_environment, in_file = where
    file = tmp_path / "hera.toml"
    file.write_text(toml(name, texts[2]) if in_file else "")
    flags = {name: texts[0]} if in_flag else {}
    environ = {"HERA_" + name.upper().replace("-", "_"): texts[1]} if in_environment else {}
    default = as_text(attribute(load({}, {}), path))
    wanted = [text for text, here in zip(texts, where, strict=True) if here] or [default]

    config = load(flags, environ, config=str(file))

    assert as_text(attribute(config, path)) == wanted[0]


def test_the_defaults_are_those_of_the_reference(tmp_path: Path) -> None:
    config = load({}, {}, cwd=tmp_path)

    assert config.db_path == tmp_path / "hera"
    assert config.network.name == "mainnet"
    assert (config.log_level, config.log_format) == ("info", "console")
    assert (config.http, config.http_host, config.http_port) == (False, "localhost", 6060)
    assert (config.p2p, config.p2p_addr) == (False, ("/ip4/0.0.0.0/tcp/0",))
    assert (config.p2p_peers, config.p2p_feeder_node, config.p2p_private_key) == ((), False, None)
    assert (config.verify_workers, config.memory_budget_mib) == (cores(), 128)


def test_an_empty_variable_is_no_value() -> None:
    assert load({}, {"HERA_NETWORK": "", "HERA_CONFIG": ""}).network.name == "mainnet"


def test_an_empty_flag_goes_back_to_the_default() -> None:
    assert load({"p2p-peers": ""}, {"HERA_P2P_PEERS": PEER}).p2p_peers == ()


def test_a_node_discovers_peers_unless_told_not_to() -> None:
    assert load({}, {}).p2p_discovery
    assert not load({"p2p-discovery": "false"}, {}).p2p_discovery


def test_the_file_may_be_named_by_a_variable_and_hold_lists(tmp_path: Path) -> None:
    file = tmp_path / "hera.toml"
    file.write_text(f'p2p = true\np2p-peers = ["{PEER}", "{PEER}"]\nhttp-port = 7001\n')

    config = load({}, {"HERA_CONFIG": str(file)})

    assert (config.p2p, config.p2p_peers, config.http_port) == (True, (PEER, PEER), 7001)


@pytest.mark.parametrize("text", ["DEBUG", "Debug", "debug"])
def test_the_log_level_may_be_written_in_any_case(text: str) -> None:
    assert load({"log-level": text}, {}).log_level == "debug"


def test_dns_peers_and_several_addresses_are_taken() -> None:
    named = f"/dns4/juno_feeder_node/tcp/7777/p2p/{PEER_ID}"
    config = load({"p2p-peers": f"{PEER}, {named}", "p2p-public-addr": "/ip4/1.2.3.4/tcp/1"}, {})
    assert config.p2p_peers == (PEER, named)
    assert load({"p2p-peers": f"{PEER}, {named},"}, {}).p2p_peers == (PEER, named)
    assert config.p2p_public_addr == ("/ip4/1.2.3.4/tcp/1",)


def test_the_private_key_may_be_seed_and_public_key_or_the_seed_alone() -> None:
    pair = keys.generate()
    for text in (pair.private_hex, pair.seed.hex()):
        assert load({"p2p-private-key": text}, {}).p2p_private_key == pair.seed


def test_a_feeder_url_without_a_path_gets_the_gateways_own() -> None:
    for given, wanted in (
        ("http://127.0.0.1:8085", "http://127.0.0.1:8085/feeder_gateway/"),
        ("https://example.org/feeder_gateway", "https://example.org/feeder_gateway/"),
    ):
        assert load({"feeder-url": given}, {}).settings(None).feeder_url == wanted


# ---- custom networks ---------------------------------------------------------------------------------------------


def test_flags_environment_and_file_describe_the_same_custom_network(tmp_path: Path) -> None:
    file = tmp_path / "hera.toml"
    in_file = CUSTOM | {"cn-unverifiable-range": ""}
    lines = [toml(name, text) for name, text in in_file.items() if text]
    file.write_text("".join([*lines, "cn-unverifiable-range = [0, 10]\n"]))

    by_flags = load(CUSTOM, {})
    by_environment = load({}, by_flags.environment())
    by_file = load({}, {}, config=str(file))

    assert by_flags.network == by_environment.network == by_file.network
    network = by_flags.network
    assert (network.name, network.chain_id, network.l1_chain_id) == (
        "devnet",
        "SN_HERA_DEVNET",
        31337,
    )
    assert network.feeder_url == "http://127.0.0.1:8085/feeder_gateway/"
    assert (network.unverifiable_from, network.unverifiable_to) == (0, 10)
    assert (network.public_key, network.first_07_block) == (None, 0)


def test_an_empty_range_means_that_every_block_can_be_checked() -> None:
    network = load(CUSTOM | {"cn-unverifiable-range": "[]"}, {}).network
    assert (network.unverifiable_from, network.unverifiable_to) == (None, None)


def test_allowed_and_denied_networks_reach_the_worker() -> None:
    config = load({"p2p": "true", "p2p-allow": "10.0.0.0/8, ::1", "p2p-deny": "10.9.0.0/16"}, {})
    told = config.settings(None).p2p
    assert told is not None
    assert (told.allow, told.deny) == (("10.0.0.0/8", "::1/128"), ("10.9.0.0/16",))


# ---- bad input ---------------------------------------------------------------------------------------------------

BAD = [
    ("network", "sepola", "did you mean sepolia"),
    ("log-level", "loud", "trace, debug, info, warn, error"),
    ("log-format", "xml", "console, json"),
    ("http", "maybe", "neither true nor false"),
    ("http-host", "a b", "neither an IP address nor a host name"),
    ("http-port", "0", "from 1 to 65535"),
    ("http-port", "65536", "from 1 to 65535"),
    ("http-port", "80x", "from 1 to 65535"),
    ("p2p-addr", "7777", "no TCP multiaddr"),
    ("p2p-addr", "/ip4/300.1.1.1/tcp/1", "300.1.1.1"),
    ("p2p-public-addr", "/ip4/1.1.1.1/udp/1", "no TCP multiaddr"),
    ("p2p-peers", "/ip4/1.1.1.1/tcp/1", "/p2p/PEER_ID"),
    ("p2p-peers", f"{PEER},nonsense", "nonsense"),
    ("p2p-peers", PEER[:-1], "PeerID"),
    ("p2p-private-key", "zz", "hexadecimal"),
    ("p2p-private-key", "ab" * 20, "128"),
    ("p2p-private-key", "ab" * 64, "second half"),
    ("p2p-allow", "10.0.0.0/8,here", "'here' is no network: give a CIDR"),
    ("p2p-deny", "10.0.0.0/40", "'10.0.0.0/40' is no network"),
    ("p2p-deny", "10.1.2.3/8", "give 10.0.0.0/8"),
    ("feeder-url", "localhost:8085", "no URL"),
    ("feeder-url", "http://host:99999", "no URL"),
    ("gw-api-key", "two words", "printable characters without spaces"),
    ("gw-api-key", "new\nline", "printable characters without spaces"),
    ("gw-api-key", "k" * 513, "give 1 to 512"),
    ("gw-timeout", "5", '"5" is no duration from 0.01s to 600s: give a number and a unit'),
    ("gw-timeout", "5s,,7s", '"" is no duration'),
    ("gw-timeout", ",", '"" is no duration'),
    ("gw-timeout", "1ns", "no duration from 0.01s"),
    ("gw-timeout", "1s,2s,3s,4s,5s", "more than 4 time-outs"),
    ("pending-poll-interval", "-5s", "no duration from 0s to 3600s"),
    ("pending-poll-interval", "1ms", "no duration from 0.1s"),
    ("pending-poll-interval", "2h", "to 3600s"),
    ("rpc-upstream", "localhost:9545", "no URL"),
    ("rpc-workers", "0", "from 1 to"),
    ("public-key", "0xzz", "no field element"),
    ("public-key", "0x" + "f" * 64, "no field element"),
    ("verify-workers", "257", "from 0 to"),
    ("memory-budget", "-1", "from 16 to"),
    ("block-hash-table", "/nonexistent/table", "cannot be read"),
    ("block-hash-table", "/dev/null", "it is empty"),
]


def test_a_table_of_block_hashes_reaches_the_workers_by_its_whole_path(tmp_path: Path) -> None:
    (tmp_path / "table").write_bytes(bytes(64))
    config = load({"block-hash-table": "table"}, {}, cwd=tmp_path)
    assert config.settings(None).block_hash_table == tmp_path / "table"
    assert config.environment()["HERA_BLOCK_HASH_TABLE"] == str(tmp_path / "table")
    (tmp_path / "table").write_bytes(bytes(65))
    with pytest.raises(ConfigError, match="65 bytes are not a multiple of 32"):
        load({"block-hash-table": "table"}, {}, cwd=tmp_path)
    assert load({}, {}).settings(None).block_hash_table is None


def test_what_json_rpc_is_told_reaches_its_process_and_no_log_has_a_key_in_a_url() -> None:
    url = "https://other.example/rpc/{version}?key=secret"
    flags = {"rpc-upstream": url, "rpc-workers": "3", "rpc-cors-enable": "true"}
    config = load(flags, {})
    settings = config.settings(None)
    assert (settings.rpc_upstream, settings.rpc_workers, settings.rpc_cors) == (url, 3, True)
    assert config.shown()["rpc-upstream"] == "other.example"
    assert "secret" not in str(config.shown())
    assert load({}, {}).settings(None).rpc_upstream is None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", (5.0, 10.0, 20.0, 40.0)),
        ("2s", (2.0, 4.0, 8.0, 16.0)),
        ("5m", (300.0, 600.0, 600.0, 600.0)),
        ("5s,", (5.0,)),
        ("500ms, 1m30s", (0.5, 90.0)),
        ("1.5s,.5m,0h2s,1000000us", (1.5, 30.0, 2.0, 1.0)),
    ],
)
def test_the_gateways_time_outs_are_written_as_junos(text: str, wanted: tuple[float, ...]) -> None:
    assert load({"gw-timeout": text}, {}).settings(None).gateway_timeouts_s == wanted


@pytest.mark.parametrize(
    ("text", "wanted"), [("", 5.0), ("0s", 5.0), ("0", 5.0), ("500ms", 0.5), ("1m", 60.0)]
)
def test_the_gateway_is_polled_at_the_pace_that_was_given_and_never_not_at_all(
    text: str, wanted: float
) -> None:
    settings = load({"pending-poll-interval": text}, {}).settings(None)
    assert settings.feeder_poll_seconds == wanted


def test_the_api_key_reaches_the_feeder_and_no_log() -> None:
    for flags, environ in (
        ({"gw-api-key": "sesame"}, {}),
        ({}, {"HERA_GW_API_KEY": "sesame"}),
    ):
        config = load(flags, environ)
        settings = config.settings(None)
        assert settings.gateway_api_key == "sesame"
        assert config.secrets("feeder")["HERA_GW_API_KEY"] == "sesame"
        assert "sesame" not in str(config.shown()) + repr(settings)
    with pytest.raises(ConfigError) as caught:
        load({"gw-api-key": "open sesame"}, {})
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(("name", "text", "said"), BAD)
def test_a_bad_value_is_one_line_that_names_where_it_was_set(
    name: str, text: str, said: str
) -> None:
    variable = "HERA_" + name.upper().replace("-", "_")
    for flags, environ, origin in (
        ({name: text}, {}, f"--{name}"),
        ({}, {variable: text}, variable),
    ):
        with pytest.raises(ConfigError) as caught:
            load(flags, environ)
        line = str(caught.value)
        assert line.startswith(f"{origin}: ")
        assert said in line
        assert "\n" not in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("network = \n", "no valid TOML"),
        ("netwrok = 'sepolia'\n", "did you mean network?"),
        ("http = 'true'\n", "without quotes"),
        ("http-port = '6060'\n", "without quotes"),
        ("network = 7\n", "a string in quotes"),
        ("p2p-peers = [true]\n", "a string, or a list"),
        ("[section]\nx = 1\n", "no such key"),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "hera.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"hera\.toml") as caught:
        load({}, {}, config=str(file))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load({}, {}, config=str(tmp_path / "none.toml"))


def test_a_feeder_node_with_peers_is_refused_as_by_the_reference() -> None:
    with pytest.raises(
        ConfigError, match=r"^if any flags in the group \[p2p-feeder-node p2p-peers\]"
    ):
        load({"p2p-feeder-node": "true", "p2p-peers": PEER}, {})
    assert load({"p2p-feeder-node": "false", "p2p-peers": PEER}, {}).p2p_peers == (PEER,)


@pytest.mark.parametrize("left_out", CUSTOM)
def test_custom_network_flags_come_together(left_out: str) -> None:
    flags = {name: text for name, text in CUSTOM.items() if name != left_out}
    with pytest.raises(ConfigError, match=rf"missing \[{left_out}\]"):
        load(flags, {})


def test_a_custom_network_excludes_a_named_one() -> None:
    with pytest.raises(ConfigError, match="none of the others can be"):
        load(CUSTOM | {"network": "sepolia"}, {})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cn-l2-chain-id", "SN_" + "X" * 29),
        ("cn-l2-chain-id", "SN/MAIN"),
        ("cn-l1-chain-id", "one"),
        ("cn-feeder-url", "ftp://host/"),
        ("cn-core-contract-address", "0xzz"),
        ("cn-unverifiable-range", "0"),
        ("cn-unverifiable-range", "5,4"),
        ("cn-unverifiable-range", "1,2,3"),
    ],
)
def test_bad_custom_values_are_refused(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=f"^--{name}: "):
        load(CUSTOM | {name: text}, {})


def test_a_key_that_is_not_the_networks_own_is_refused() -> None:
    with pytest.raises(ConfigError, match="not the key of sepolia"):
        load({"network": "sepolia", "public-key": "0x1"}, {})


# ---- what children are told --------------------------------------------------------------------------------------


def test_a_child_is_told_the_same(tmp_path: Path) -> None:
    flags = CUSTOM | {"p2p": "true", "p2p-peers": PEER, "http": "true", "db-path": "x"}
    config = load(flags, {"HERA_LOG_LEVEL": "warn"}, cwd=tmp_path).with_given(public_key="0x5")
    config = config.with_drawn_key()

    told = config.environment() | config.secrets("p2p")
    child = load({}, told, cwd=Path("/"))

    assert child.p2p_private_key == config.p2p_private_key is not None
    assert (child.public_key, child.log_level) == (5, "warn")
    assert child.settings(5) == config.settings(5)


def test_a_secret_is_told_to_the_one_process_that_needs_it() -> None:
    key = keys.generate().private_hex
    flags = {"p2p-private-key": key, "gw-api-key": "s3cret", "rpc-upstream": "http://a/k3y"}
    config = load(flags | {"p2p": "true"}, {})

    assert not {key, "s3cret", "http://a/k3y"} & set(config.environment().values())
    assert config.secrets("p2p") == {"HERA_P2P_PRIVATE_KEY": key}
    assert config.secrets("feeder") == {"HERA_GW_API_KEY": "s3cret"}
    assert config.secrets("rpc") == {"HERA_RPC_UPSTREAM": "http://a/k3y"}
    assert config.secrets("verify") == {}
    told = f"{config} {config.settings(1)}"  # as a traceback may show them
    seed = keys.parse(key).seed
    assert not [text for text in (key, repr(seed), "s3cret", "k3y") if text in told]


def test_the_private_key_is_not_shown() -> None:
    pair = keys.generate()
    shown = load({"p2p-private-key": pair.private_hex}, {}).shown()
    assert shown["p2p-private-key"] == "(hidden)"
    assert pair.seed.hex() not in str(shown)
    assert str(pair.seed) not in str(shown)
    assert (shown["http-port"], shown["network"]["name"]) == (6060, "mainnet")


def test_the_broker_is_found_from_the_database_path_alone(tmp_path: Path) -> None:
    config = load({"db-path": "db"}, {}, cwd=tmp_path)
    assert config.broker == load({}, {"HERA_DB_PATH": str(tmp_path / "db")}).broker
    assert config.broker.startswith(f"ipc://{tmp_path}/db/run/")


def test_a_long_database_path_gets_a_short_folder_for_its_sockets(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    config = load({"db-path": str(long)}, {})
    assert len(config.broker) < 100
    assert config.broker == load({"db-path": str(long)}, {}).broker
    assert config.broker != load({"db-path": str(long / "y")}, {}).broker


def test_folders_are_for_this_user_alone(tmp_path: Path) -> None:
    config = load({"db-path": str(tmp_path / "a" / "db")}, {})
    config.make_folders()
    for folder in (config.db_path, config.run_folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_sockets_folder_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    config = load({"db-path": str(tmp_path / "db")}, {})
    config.make_folders()
    os.chmod(config.run_folder, 0o755)
    with pytest.raises(ConfigError, match="chmod 700"):
        config.make_folders()


def test_a_database_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "db").write_text("")
    with pytest.raises(ConfigError, match="cannot be created"):
        load({"db-path": str(tmp_path / "db")}, {}).make_folders()
