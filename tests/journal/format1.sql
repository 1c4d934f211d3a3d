-- The journal, format 1. Times are Unix seconds of the telegram, `at` is when it was written down.
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

-- identity of a telegram: source (kit and label) and second
CREATE TABLE sources (
    id INTEGER PRIMARY KEY,
    kit TEXT NOT NULL,
    label TEXT NOT NULL, -- '' where the ident has none
    UNIQUE (kit, label)
);
CREATE TABLE idents (
    id INTEGER PRIMARY KEY,
    source INTEGER NOT NULL REFERENCES sources (id),
    body TEXT NOT NULL UNIQUE -- JSON
);
-- the last ident of each kit: it decides whether the next telegram's ident is new
CREATE TABLE kits (kit TEXT PRIMARY KEY, ident INTEGER NOT NULL REFERENCES idents (id)) WITHOUT ROWID;

CREATE TABLE telegrams (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    source INTEGER NOT NULL,
    time INTEGER NOT NULL,
    ident INTEGER NOT NULL REFERENCES idents (id),
    new INTEGER NOT NULL,
    at REAL NOT NULL,
    data TEXT NOT NULL -- JSON
);
CREATE UNIQUE INDEX identity ON telegrams (source, time) WHERE kind = 'telegram';

-- an output is a cursor: everything up to it is acknowledged, set aside, or in a recorded gap
CREATE TABLE outputs (
    name TEXT PRIMARY KEY,
    cursor INTEGER NOT NULL,
    receipt TEXT,
    paused INTEGER NOT NULL DEFAULT 0,
    acknowledged INTEGER NOT NULL DEFAULT 0,
    retries INTEGER NOT NULL DEFAULT 0,
    last_ok REAL,
    error TEXT, -- NULL while all is well
    error_at REAL,
    gap_from INTEGER, -- the cursor where telegrams began to be given up, and where that ended
    gap_upto INTEGER
) WITHOUT ROWID;

-- telegrams that left the order of the journal for one output: held and retry wait, dead do not
CREATE TABLE aside (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- a number is never used again: it may be under way
    output TEXT NOT NULL, -- '' where the journal itself or an input refused it
    state TEXT NOT NULL CHECK (state IN ('held', 'retry', 'dead')),
    kit TEXT NOT NULL,
    time INTEGER,
    ident INTEGER REFERENCES idents (id),
    new INTEGER,
    at REAL NOT NULL,
    reason TEXT NOT NULL,
    data TEXT NOT NULL -- JSON of a telegram's data, or the text that an input could not use
);
CREATE INDEX aside_order ON aside (output, state, kit, id);

-- telegrams that were given up unsent, when the journal was full
CREATE TABLE gaps (
    id INTEGER PRIMARY KEY,
    output TEXT NOT NULL, -- '' for what the journal itself had refused
    kit TEXT NOT NULL,
    since INTEGER NOT NULL, -- outputs.gap_from; -1 for what had been set aside
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    count INTEGER NOT NULL,
    at REAL NOT NULL,
    reason TEXT NOT NULL,
    UNIQUE (output, kit, since)
);
-- what happened: a sensor that went silent or came back, a clock that jumped, flags of values
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    time INTEGER, -- of the telegram it belongs to, if any
    who TEXT NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE TABLE positions (
    input TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL, -- JSON
    PRIMARY KEY (input, key)
) WITHOUT ROWID;

-- what other processes ask of the running engine
CREATE TABLE requests (
    id INTEGER PRIMARY KEY,
    verb TEXT NOT NULL,
    output TEXT NOT NULL,
    argument TEXT NOT NULL DEFAULT '',
    at REAL NOT NULL
);
