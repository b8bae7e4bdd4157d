-- What was acknowledged and is not read yet: the one table that a webhook waits for, small and without an index.

CREATE TABLE arrivals (
    id          INTEGER PRIMARY KEY,        -- the order of arrival
    bot_id      TEXT NOT NULL,
    number      TEXT NOT NULL,              -- the phone number id of the bot
    active      INTEGER NOT NULL,           -- whether the bot was
    signed      INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    body        BLOB NOT NULL
);
