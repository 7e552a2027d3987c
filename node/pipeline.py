"""THE PAGE: the whole path of a block, top to bottom. Start reading here.

A block meets the stages in this order. Supervisor, ``hera worker NAME``, metric labels and the diagram in
docs/architecture.md are derived from the sources and ``PIPELINE``; the list exists once.

What is in flight is bounded by the window of the source (p2p or feeder): it fetches no further than
``WINDOW_BLOCKS`` beyond the stored head, and no more than the memory budget, except for the lowest block, which is
always let through. The topics' own bounds are wide enough for a whole window, so that no stage can lock another.
"""

from broker.topic import Topic
from workers import assemble, fetch, verify
from workers.commit import commit
from workers.exporter import exporter
from workers.feeder import feeder
from workers.messages import (
    BlockAssembled,
    BlockPart,
    BlockStored,
    BlocksUndone,
    BlockVerified,
    BodiesFetched,
    ClassesReceived,
    EventsReceived,
    Fault,
    ForkSeen,
    HeadersFetched,
    HeadersReceived,
    Retreat,
    StateDiffsReceived,
    TransactionsReceived,
)
from workers.p2p import p2p
from workers.rpc import rpc
from workers.stage import Source, Stage, pure

MIB = 1 << 20
WINDOW_BLOCKS = 400  # four ranges of 100
PARTS = 5 * WINDOW_BLOCKS

# ---- topics ---------------------------------------------------------------------------------------------------
HEADERS_RECEIVED = Topic("headers.received", HeadersReceived, items_max=64, bytes_max=64 * MIB)
STATE_DIFFS_RECEIVED = Topic(
    "state_diffs.received", StateDiffsReceived, items_max=512, bytes_max=256 * MIB
)
CLASSES_RECEIVED = Topic("classes.received", ClassesReceived, items_max=512, bytes_max=256 * MIB)
TRANSACTIONS_RECEIVED = Topic(
    "transactions.received", TransactionsReceived, items_max=512, bytes_max=256 * MIB
)
EVENTS_RECEIVED = Topic("events.received", EventsReceived, items_max=512, bytes_max=256 * MIB)
HEADERS_FETCHED = Topic("headers.fetched", HeadersFetched, items_max=64, bytes_max=16 * MIB)
BODIES_FETCHED = Topic("bodies.fetched", BodiesFetched, items_max=2048, bytes_max=64 * MIB)
BLOCK_PARTS = Topic("block.parts", BlockPart, items_max=2 * PARTS, bytes_max=512 * MIB)
BLOCKS_ASSEMBLED = Topic(
    "blocks.assembled", BlockAssembled, items_max=2 * WINDOW_BLOCKS, bytes_max=512 * MIB
)
BLOCKS_VERIFIED = Topic(
    "blocks.verified", BlockVerified, items_max=2 * WINDOW_BLOCKS, bytes_max=512 * MIB
)
BLOCKS_STORED = Topic("blocks.stored", BlockStored, items_max=2 * WINDOW_BLOCKS, bytes_max=MIB)
FORKS_SEEN = Topic("forks.seen", ForkSeen, items_max=64, bytes_max=MIB)
RETREATS = Topic("retreats", Retreat, items_max=4, bytes_max=MIB)
BLOCKS_UNDONE = Topic("blocks.undone", BlocksUndone, items_max=64, bytes_max=MIB)
FAULTS = Topic("faults", Fault, items_max=2048, bytes_max=16 * MIB)

# ---- processes with a loop of their own: they speak with the outside --------------------------------------------
P2P = Source(
    "p2p",
    main=p2p.main,
    takes=(HEADERS_FETCHED, BODIES_FETCHED, FORKS_SEEN, BLOCKS_STORED, BLOCKS_UNDONE, FAULTS),
    gives=(
        HEADERS_RECEIVED,
        STATE_DIFFS_RECEIVED,
        CLASSES_RECEIVED,
        TRANSACTIONS_RECEIVED,
        EVENTS_RECEIVED,
        RETREATS,
    ),
    credit=256,
)
P2P_SERVE = Source("p2p", main=p2p.main)  # a feeder node's: answers peers, asks nobody
FEEDER = Source(
    "feeder",
    main=feeder.main,
    takes=(BLOCKS_STORED, BLOCKS_UNDONE, FAULTS),
    gives=(BLOCKS_ASSEMBLED, RETREATS),
)
RPC = Source("rpc", main=rpc.main)
METRICS = Source("metrics", main=exporter.main)

# ---- stages -----------------------------------------------------------------------------------------------------
FETCH = (
    Stage(
        "fetch-headers",
        takes=HEADERS_RECEIVED,
        start=pure(fetch.headers.cut),
        gives=(HEADERS_FETCHED, FORKS_SEEN, BLOCK_PARTS, FAULTS),
        credit=4,
    ),
    Stage(
        "fetch-state_diffs",
        takes=STATE_DIFFS_RECEIVED,
        start=pure(fetch.state_diffs.cut),
        gives=(BODIES_FETCHED, BLOCK_PARTS, FAULTS),
        credit=4,
    ),
    Stage(
        "fetch-classes",
        takes=CLASSES_RECEIVED,
        start=pure(fetch.classes.cut),
        gives=(BODIES_FETCHED, BLOCK_PARTS, FAULTS),
        credit=4,
    ),
    Stage(
        "fetch-transactions",
        takes=TRANSACTIONS_RECEIVED,
        start=pure(fetch.transactions.cut),
        gives=(BODIES_FETCHED, BLOCK_PARTS, FAULTS),
        credit=4,
    ),
    Stage(
        "fetch-events",
        takes=EVENTS_RECEIVED,
        start=pure(fetch.events.cut),
        gives=(BODIES_FETCHED, BLOCK_PARTS, FAULTS),
        credit=4,
    ),
)
ASSEMBLE = Stage(
    "assemble", takes=BLOCK_PARTS, start=assemble.start, gives=(BLOCKS_ASSEMBLED,), credit=2 * PARTS
)
VERIFY = Stage(
    "verify",
    takes=BLOCKS_ASSEMBLED,
    start=pure(verify.verify),
    gives=(BLOCKS_VERIFIED, FAULTS),
    credit=2,
    patience_s=600,  # a block of huge classes takes minutes on a slow machine
)
COMMIT = Stage(
    "commit",
    takes=BLOCKS_VERIFIED,
    start=commit.start,
    gives=(BLOCKS_STORED, BLOCKS_UNDONE, FAULTS),
    credit=2 * WINDOW_BLOCKS,
    patience_s=600,
    also=(RETREATS,),
)

PIPELINE = (*FETCH, ASSEMBLE, VERIFY, COMMIT)

# ---- on other machines: these need neither the store nor the outside; the others need the same --db-path ----------
ANYWHERE = (*FETCH, ASSEMBLE, VERIFY)
