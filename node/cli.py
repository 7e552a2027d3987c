"""The command line: ``hera`` and its verbs. It reads options and calls; the work is elsewhere, imported when needed."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from node import juno, networks
from node.banner import VERSION
from node.config import (
    KEYS,
    Config,
    ConfigError,
    cores,
    hash_table_file,
    load,
    port,
    worker_count,
)
from workers.exits import EX_CONFIG

Given = TypeVar("Given")
Parsed = TypeVar("Parsed")
_DEVNET_VERSION = "0.13.4"
_NAMES = frozenset(key.name for key in KEYS)
_BOOLEANS = frozenset(f"--{key.name}" for key in KEYS if key.kind == "bool")
_BOOLEANS |= {f"--{name}" for name in juno.BOOLEANS - _NAMES}


def main() -> NoReturn:
    """Run the command line of this process and exit with its code."""
    cli(prog_name="hera")
    raise AssertionError("click exits by itself")


class _Command(click.Command):
    """A command whose boolean options are written ``--http`` or ``--http=true``, as Go programs take them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _spell_out(args))


class _Group(click.Group):
    """As ``_Command``; its own options go before or after the verb."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _spell_out(args))


def _spell_out(args: list[str]) -> list[str]:
    """Write ``--http`` as ``--http=true``, so that it never takes the next word for its value."""
    return [f"{arg}=true" if arg in _BOOLEANS else arg for arg in args]


def _node_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a node; ``node.config`` parses their values. Those of Juno alone are taken and not shown."""
    for name in juno.UNUSED.keys() - _NAMES:
        function = click.option(f"--{name}", name.replace("-", "_"), hidden=True)(function)
    for key in reversed(KEYS):
        words = f"{key.help}  [default: {key.default}]" if key.default else key.help
        function = click.option(
            f"--{key.name}", key.name.replace("-", "_"), metavar=key.metavar, help=words
        )(function)
    return click.option(
        "--config", metavar="FILE", help="TOML file, or Juno's YAML, with these options as keys."
    )(function)


def _protocol_version(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option of a generated chain's protocol version; ``starknet.ages`` judges it."""
    return click.option(
        "--protocol-version",
        default=_DEVNET_VERSION,
        show_default=True,
        metavar="VERSION",
        help="Starknet version of the generated chain's blocks, such as 0.12.3; none for the first ones.",
    )(function)


@click.group(cls=_Group, invoke_without_command=True, context_settings={"max_content_width": 110})
@click.version_option(VERSION, prog_name="hera", message="%(prog)s %(version)s")
@_node_options
@click.pass_context
def cli(ctx: click.Context, /, **options: str | None) -> None:
    """Hera, a Starknet full node. Without a command it runs the node.

    Each option is also read from the environment (--p2p-peers is HERA_P2P_PEERS) and from the file of
    --config. A flag overrides the environment, which overrides the file. What is set for Juno (JUNO_P2P_PEERS, its
    YAML file) is read as well; HERA_ variables override JUNO_ ones.
    """
    ctx.obj = options
    if ctx.invoked_subcommand is None:
        _run(ctx)


@cli.command(cls=_Command)
@_node_options
@click.pass_context
def run(ctx: click.Context, /, **_: str | None) -> None:
    """Run the node: all of its processes."""
    _run(ctx)


@cli.command(cls=_Command)
@click.argument("name")
@click.option(
    "--name", "instance", metavar="INSTANCE", help="This process's own name, such as verify-2."
)
@_node_options
@click.pass_context
def worker(ctx: click.Context, /, name: str, instance: str | None, **_: str | None) -> None:
    """Run one process of the node alone: NAME as in docs/architecture.md, such as verify or commit."""
    config = _config(ctx)
    from node import processes

    sys.exit(_one_line(lambda: processes.run_worker(config, name, instance)))


@cli.command(cls=_Command)
@_node_options
@click.pass_context
def broker(ctx: click.Context, /, **_: str | None) -> None:
    """Run the broker alone: the queues between the other processes."""
    config = _config(ctx)
    from node import processes

    sys.exit(_one_line(lambda: processes.run_broker(config)))


@cli.command()
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Keep the private key in FILE, for this user alone, and do not print it.",
)
def genp2pkeypair(out: Path | None) -> None:
    """Draw a key pair for --p2p-private-key, or --p2p-private-key-file, and print it with its PeerID."""
    from node import key_file
    from workers.p2p import keys

    try:
        pair = keys.generate() if out is None else key_file.write(out)
    except ConfigError as error:
        _refuse(str(error))
    if out is None:
        click.echo(f"P2P Private Key: {pair.private_hex}")
    click.echo(f"P2P Public Key: {pair.public_hex}")
    click.echo(f"P2P PeerID: {pair.peer_id}")


@cli.command()
@click.option(
    "--db-path",
    envvar="HERA_DB_PATH",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Ask the node on this folder, which need not serve HTTP ($PWD/hera if one runs there).",
)
@click.option("--url", metavar="URL", help="Ask its HTTP server.  [default: http://localhost:6060]")
@click.option("--watch", "again", is_flag=True, help="Show it every 2 seconds, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@click.pass_context
def status(
    ctx: click.Context, db_path: Path | None, url: str | None, again: bool, as_json: bool
) -> None:
    """Show how far a running node is.

    Exit code: 0 synced, 1 syncing, 2 unhealthy (stuck, or it does not answer), 3 not running.
    """
    if url is not None and db_path is not None:
        if ctx.get_parameter_source("db_path") is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError("give either --db-path or --url")
        db_path = None
    from node import status as shown

    ask = shown.asking(url, db_path, Path.cwd() / "hera")
    sys.exit((shown.watch if again else shown.show)(ask, as_json=as_json))


@cli.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH…", type=click.Path(path_type=Path))
@click.option("--network", metavar="NAME", help="Their network (the folder's name if absent).")
@click.option(
    "--block-hash-table",
    "table",
    metavar="FILE",
    help="Hashes by the rules of 0.13.2 of old blocks.",
)
@click.option("--workers", metavar="N", help="Processes that verify (one a core if absent).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def verify(
    paths: tuple[Path, ...],
    network: str | None,
    table: str | None,
    workers: str | None,
    as_json: bool,
) -> None:
    """Check recorded blocks: folders with block/ state_update/ signature/ class/ public_key/, or block files.

    What was not recorded is said and not counted as failed. Exit code 1: a check failed.
    """
    from node import audit

    path = None if table is None else _checked("--block-hash-table", hash_table_file, Path(table))
    count = cores() if workers is None else _checked("--workers", worker_count, workers)
    sys.exit(_one_line(lambda: audit.run(paths, network, path, count, as_json=as_json)))


@cli.group()
def hashes() -> None:
    """Tables of block hashes, which bind what the hashes of blocks before 0.13.2 leave open."""


@hashes.command()
@click.option(
    "--db-path",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="A trusted store.",
)
@click.option(
    "--out",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The table to write.",
)
def build(db_path: Path, out: Path) -> None:
    """Make the table of a trusted store, for --block-hash-table."""
    from node import hashes as made

    sys.exit(_one_line(lambda: made.build(db_path, out)))


def _folder(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that names a node's folder."""
    return click.option(
        "--db-path",
        required=True,
        envvar="HERA_DB_PATH",
        metavar="DIR",
        type=click.Path(path_type=Path),
        help="The node's folder.",
    )(function)


@cli.command(cls=_Command)
@_node_options
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@click.pass_context
def doctor(ctx: click.Context, /, as_json: bool, **_: str | None) -> None:
    """Check what a node with these options needs: machine, files, ports, gateway, peers, database.

    Takes 15 seconds at most, and writes nothing. Exit code 1: something would not work.
    """
    flags, path = _options(ctx)
    from node.doctor import doctor as checks

    sys.exit(checks.run(flags, os.environ, path, as_json=as_json))


@cli.group()
def db() -> None:
    """What a node's database holds; it is read beside a running node, too."""


@db.command()
@_folder
def info(db_path: Path) -> None:
    """Print which chain the store holds, and up to which block, as JSON."""
    from node import db as shown

    sys.exit(_one_line(lambda: shown.info(db_path)))


@db.command()
@_folder
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def size(db_path: Path, as_json: bool) -> None:
    """Show bytes and keys of each family of the store."""
    from node import db as shown

    sys.exit(_one_line(lambda: shown.size(db_path, as_json=as_json)))


@db.command("verify")
@_folder
@click.option(
    "--from", "first", default=0, show_default=True, metavar="N", help="The first block to check."
)
@click.option("--to", "last", type=int, metavar="N", help="The last one (the head if absent).")
@click.option("--network", metavar="NAME", help="Its network (found by the chain if absent).")
@click.option("--public-key", metavar="HEX", help="The sequencer's, of a network of your own.")
@click.option(
    "--block-hash-table", metavar="FILE", help="Hashes by the rules of 0.13.2 of old blocks."
)
@click.option("--workers", metavar="N", help="Processes that verify (one a core if absent).")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def verify_stored(
    db_path: Path,
    first: int,
    last: int | None,
    public_key: str | None,
    workers: str | None,
    as_json: bool,
    **told: str | None,
) -> None:
    """Check stored blocks as if a peer had just sent them, and the state at the head from its leaves up.

    Prints one line a fault. Exit code 1: there are some.
    """
    flags = {name.replace("_", "-"): text for name, text in told.items() if text is not None}
    if workers is not None:
        flags["verify-workers"] = str(_checked("--workers", worker_count, workers))
    key = None if public_key is None else _checked("--public-key", networks.felt, public_key)
    from node import db_verify

    def run() -> int:
        config = load({"db-path": str(db_path)} | flags, {})
        return db_verify.run(config, key, first, last, as_json=as_json)

    sys.exit(_one_line(run))


@db.command()
@_folder
@click.option("--to-block", "number", required=True, type=int, metavar="N", help="The new head.")
def revert(db_path: Path, number: int) -> None:
    """Take back every block above N, in a store that no node runs on."""
    from node import db as changed

    sys.exit(_one_line(lambda: changed.revert(db_path, number)))


@cli.group()
def peers() -> None:
    """How the peers of a node stand, and bans. The node may run or not."""


@peers.command("list")
@_folder
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def list_peers(db_path: Path, as_json: bool) -> None:
    """Show each known peer: its score (0 is best), what it was counted, and if it is left alone."""
    from node import peers as shown

    sys.exit(_one_line(lambda: shown.show(db_path, as_json=as_json)))


@peers.command()
@_folder
@click.argument("peer")
@click.option("--why", default="", metavar="TEXT", help="A note for yourself.")
def ban(db_path: Path, peer: str, why: str) -> None:
    """Refuse PEER (its PeerID) until it is unbanned."""
    from node import peers as shown

    sys.exit(_one_line(lambda: shown.ban(db_path, peer, why)))


@peers.command()
@_folder
@click.argument("peer")
def unban(db_path: Path, peer: str) -> None:
    """Speak with PEER again and forget its faults."""
    from node import peers as shown

    sys.exit(_one_line(lambda: shown.unban(db_path, peer)))


_keys_folder = click.option(
    "--keys",
    "folder",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The broker's.",
)


@cli.group()
def keys() -> None:
    """Keys of brokers and workers on different machines. Each machine makes its own; only public ones travel."""


@keys.command("new")
@click.option(
    "--out", required=True, metavar="DIR", type=click.Path(path_type=Path), help="Folder to make."
)
@click.option(
    "--broker", metavar="KEY", help="For a worker: the public key of the broker it will join."
)
def new_keys(out: Path, broker: str | None) -> None:
    """Make the keys of a broker, or with --broker those of a worker, and print the public one."""
    from node import keys as kept

    public = None if broker is None else _checked("--broker", kept.key, broker)
    sys.exit(_one_line(lambda: kept.new(out, public)))


@keys.command()
@click.argument("public_key", metavar="KEY")
@_keys_folder
@click.option("--name", required=True, help="What to call it, such as its machine.")
@click.option(
    "--rows", default="verify", show_default=True, metavar="NAME,…", help="The workers it may run."
)
def allow(public_key: str, folder: Path, name: str, rows: str) -> None:
    """Let the holder of a worker's public KEY join; a broker that runs takes notice at once."""
    from node import keys as kept

    public = _checked("KEY", kept.key, public_key)
    sys.exit(_one_line(lambda: kept.allow(folder, public, name, rows.split(","))))


@keys.command("list")
@_keys_folder
def list_keys(folder: Path) -> None:
    """Show who may join. To forbid one, remove its line from the file DIR/allowed."""
    from node import keys as kept

    sys.exit(_one_line(lambda: kept.show(folder)))


@cli.group()
def gateway() -> None:
    """A local feeder gateway, for tests and for networks of one's own."""


@gateway.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--devnet", is_flag=True, help="Serve a generated chain instead of a folder.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", "port_text", default="8085", show_default=True, help="Port to listen on.")
@click.option(
    "--blocks", default=250, show_default=True, type=click.IntRange(1), help="Length of the devnet."
)
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of the devnet."
)
@click.option(
    "--heavy-calls",
    default=0,
    show_default=True,
    type=click.IntRange(0, 2000),
    help="Transactions as large as mainnet's in each block of the devnet.",
)
@click.option(
    "--fork-at", type=click.IntRange(1), metavar="N", help="From block N on, another chain."
)
@_protocol_version
def serve(
    folder: Path | None,
    devnet: bool,
    host: str,
    port_text: str,
    blocks: int,
    seed: int,
    heavy_calls: int,
    fork_at: int | None,
    protocol_version: str,
) -> None:
    """Serve the recorded network in FOLDER, or a generated one with --devnet."""
    if devnet == (folder is not None):
        raise click.UsageError("give either a folder of recorded blocks or --devnet")
    from node import processes

    number = _checked("--port", port, port_text)
    sys.exit(
        _one_line(
            lambda: processes.run_gateway(
                folder,
                host,
                number,
                blocks=blocks,
                seed=seed,
                version=protocol_version,
                heavy_calls=heavy_calls,
                fork_at=fork_at,
            )
        )
    )


@cli.command()
@click.option(
    "--blocks", default=250, show_default=True, type=click.IntRange(1), help="Length of the chain."
)
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of the chain."
)
@click.option(
    "--keep", metavar="DIR", type=click.Path(path_type=Path), help="Keep databases and logs in DIR."
)
@click.option(
    "--timeout", default=600, show_default=True, type=click.IntRange(1), help="Seconds at most."
)
@_protocol_version
def demo(blocks: int, seed: int, keep: Path | None, timeout: int, protocol_version: str) -> None:
    """Sync three nodes from a generated chain, the last one only from the second; compare what they hold."""
    from node import demo as shown

    sys.exit(
        _one_line(
            lambda: shown.run(
                blocks=blocks,
                seed=seed,
                version=protocol_version,
                keep=keep,
                seconds_max=timeout,
            )
        )
    )


def _run(ctx: click.Context) -> NoReturn:
    config = _config(ctx)
    from node import run as node_run

    sys.exit(_one_line(lambda: node_run.run(config)))


def _config(ctx: click.Context) -> Config:
    """Join the options before and after the verb with environment and file, or exit 78."""
    merged, path = _options(ctx)
    try:
        return load(merged, os.environ, config=path)
    except ConfigError as error:
        _refuse(str(error))


def _options(ctx: click.Context) -> tuple[dict[str, str], str | None]:
    """The options before and after the verb, of which the later win, and the file that --config names."""
    merged: dict[str, str] = {}
    for level in (ctx.parent, ctx):
        merged |= _set_options(level.params if level is not None else {})
    return merged, merged.pop("config", None)


def _set_options(params: Mapping[str, Any]) -> dict[str, str]:
    names = {name.replace("-", "_"): name for name in (*_NAMES, *juno.UNUSED, "config")}
    return {
        names[name]: value for name, value in params.items() if name in names and value is not None
    }


def _checked(name: str, parse: Callable[[Given], Parsed], text: Given) -> Parsed:
    try:
        return parse(text)
    except (ValueError, networks.NetworkError) as error:
        _refuse(f"{name}: {error}")


def _one_line(call: Callable[[], int]) -> int:
    """Return the exit code of ``call``; what a configuration made impossible is one line and exit 78."""
    try:
        return call()
    except ConfigError as error:
        _refuse(str(error))


def _refuse(line: str) -> NoReturn:
    click.echo(f"Error: {line}", err=True)
    sys.exit(EX_CONFIG)
