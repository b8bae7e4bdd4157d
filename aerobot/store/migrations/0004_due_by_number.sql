-- What is due is looked for number by number, so that what waits for a paused number costs nothing while it waits.

CREATE INDEX conversations_due_of ON conversations (channel, number, due_at) WHERE due_at IS NOT NULL;
DROP INDEX conversations_due;               -- no query asks for it any more; no row is touched
