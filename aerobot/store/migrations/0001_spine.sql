-- Times are milliseconds since 1970 by the store's clock. Payloads are bytes or ASCII-escaped JSON.

CREATE TABLE bots (
    id          TEXT PRIMARY KEY,
    document    TEXT NOT NULL,              -- the bot as the API names it, credentials included
    status      TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
);

CREATE TABLE deliveries (
    id          INTEGER PRIMARY KEY,
    bot_id      TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    signed      INTEGER NOT NULL,
    state       TEXT NOT NULL,              -- read | unusable | unreadable
    note        TEXT NOT NULL,
    body        BLOB NOT NULL
);
CREATE INDEX deliveries_by_time ON deliveries (received_at);

CREATE TABLE updates (                      -- each update of each body once per bot, for good
    bot_id      TEXT NOT NULL,
    kind        TEXT NOT NULL,              -- message | status | other
    digest      BLOB NOT NULL,              -- SHA-256 of its identity
    delivery_id INTEGER NOT NULL,
    field       TEXT NOT NULL,
    note        TEXT NOT NULL,
    PRIMARY KEY (bot_id, kind, digest)
) WITHOUT ROWID;

CREATE TABLE conversations (
    id          INTEGER PRIMARY KEY,
    bot_id      TEXT NOT NULL,
    number      TEXT NOT NULL,              -- the phone number id that answers
    channel     TEXT NOT NULL,              -- whatsapp | test
    name        TEXT NOT NULL,
    phone       TEXT NOT NULL,              -- digits, empty where unknown
    user_id     TEXT NOT NULL,
    seq         INTEGER NOT NULL,           -- the last message's place
    turns       INTEGER NOT NULL,
    window_at   INTEGER,                    -- Meta's time of the newest inbound message, NULL where unknown
    due_at      INTEGER,                    -- when a worker should look; NULL: nothing to do; while claimed: the lease's end
    owner       TEXT,                       -- who claimed it
    fence       INTEGER NOT NULL,           -- grows with each claim; every write of a worker carries it
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
);
CREATE INDEX conversations_due ON conversations (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE identities (
    bot_id          TEXT NOT NULL,
    channel         TEXT NOT NULL,
    kind            TEXT NOT NULL,          -- phone | user_id | parent_user_id
    value           TEXT NOT NULL,
    conversation_id INTEGER NOT NULL,
    PRIMARY KEY (bot_id, channel, kind, value)
) WITHOUT ROWID;

CREATE TABLE turns (
    id              INTEGER PRIMARY KEY,
    conversation_id INTEGER NOT NULL,
    ordinal         INTEGER NOT NULL,       -- 1 for a conversation's first
    state           TEXT NOT NULL,          -- thinking | speaking | settled
    outcome         TEXT NOT NULL,          -- answered | silent | fell_back | failed | ignored
    error           TEXT NOT NULL,
    engine_ms       INTEGER NOT NULL,
    capture         INTEGER NOT NULL,
    started_at      INTEGER NOT NULL,
    settled_at      INTEGER
);
CREATE INDEX turns_open ON turns (conversation_id) WHERE state <> 'settled';
CREATE INDEX turns_of ON turns (conversation_id, id);

CREATE TABLE messages (
    id              INTEGER PRIMARY KEY,
    bot_id          TEXT NOT NULL,
    conversation_id INTEGER NOT NULL,
    seq             INTEGER NOT NULL,
    wamid           TEXT NOT NULL,
    kind            TEXT NOT NULL,
    text            TEXT NOT NULL,
    raw             TEXT NOT NULL,          -- Meta's object, ASCII-escaped JSON
    contact         TEXT NOT NULL,
    sent_at         INTEGER,                -- Meta's time
    received_at     INTEGER NOT NULL,
    state           TEXT NOT NULL,          -- queued | in_turn | answered | ignored | failed
    reason          TEXT NOT NULL,
    capture         INTEGER NOT NULL,
    delivery_id     INTEGER NOT NULL,
    turn_id         INTEGER
);
CREATE INDEX messages_queued ON messages (conversation_id, seq) WHERE state = 'queued';
CREATE INDEX messages_of_turn ON messages (turn_id);
CREATE INDEX messages_by_wamid ON messages (bot_id, wamid);

CREATE TABLE parts (
    id              TEXT PRIMARY KEY,       -- goes to Meta as biz_opaque_callback_data
    turn_id         INTEGER NOT NULL,
    conversation_id INTEGER NOT NULL,
    position        INTEGER NOT NULL,
    kind            TEXT NOT NULL,
    said            TEXT NOT NULL,          -- what history remembers
    body            TEXT NOT NULL,          -- the Graph request, JSON
    state           TEXT NOT NULL,          -- planned | sending | unknown | sent | failed | not_sent | captured
    attempts        INTEGER NOT NULL,
    unknowns        INTEGER NOT NULL,       -- how often the outcome was unknown
    changed_at      INTEGER NOT NULL,
    wamid           TEXT,
    error           TEXT NOT NULL,          -- JSON: code, title, details, remedy; empty where none
    receipt         TEXT NOT NULL           -- sent | delivered | read | played | failed; empty where none yet
) WITHOUT ROWID;
CREATE INDEX parts_of_turn ON parts (turn_id, position);
CREATE INDEX parts_by_wamid ON parts (wamid) WHERE wamid IS NOT NULL;

CREATE TABLE receipts (
    id          INTEGER PRIMARY KEY,
    bot_id      TEXT NOT NULL,
    wamid       TEXT NOT NULL,
    status      TEXT NOT NULL,
    at          INTEGER,
    error       TEXT NOT NULL,
    part_id     TEXT,                       -- NULL until its part is known
    received_at INTEGER NOT NULL
);
CREATE INDEX receipts_waiting ON receipts (wamid) WHERE part_id IS NULL;

CREATE TABLE numbers (
    id           TEXT PRIMARY KEY,          -- phone number id
    paused_until INTEGER NOT NULL,          -- then one conversation may try
    pauses       INTEGER NOT NULL,
    reason       TEXT NOT NULL
);

CREATE TABLE announcements (                -- test messages on their way in through the public listener
    bot_id     TEXT NOT NULL,
    wamid      TEXT NOT NULL,
    capture    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (bot_id, wamid)
) WITHOUT ROWID;
