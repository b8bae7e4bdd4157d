-- The failed list, and what retention and erasure find their rows by.

ALTER TABLE turns ADD COLUMN failed_at INTEGER;                -- when it came onto the failed list; NULL: not on it
ALTER TABLE turns ADD COLUMN cause TEXT NOT NULL DEFAULT '';   -- engine | Meta's code | send
ALTER TABLE turns ADD COLUMN retries INTEGER NOT NULL DEFAULT 0;
CREATE INDEX turns_failed ON turns (id) WHERE failed_at IS NOT NULL;

CREATE INDEX updates_of_delivery ON updates (delivery_id);
CREATE INDEX identities_of ON identities (conversation_id);
CREATE INDEX messages_of ON messages (conversation_id, id);
CREATE INDEX receipts_of_part ON receipts (part_id) WHERE part_id IS NOT NULL;

UPDATE turns SET failed_at = COALESCE(settled_at, started_at), cause = 'engine'
WHERE state = 'settled' AND capture = 0 AND outcome IN ('failed', 'fell_back')
    AND conversation_id IN (SELECT id FROM conversations WHERE channel = 'whatsapp');

UPDATE turns SET failed_at = COALESCE(settled_at, started_at), cause = COALESCE(
    (SELECT CASE WHEN p.error = '' THEN NULL ELSE CAST(json_extract(p.error, '$.code') AS TEXT) END
     FROM parts p WHERE p.turn_id = turns.id AND (p.state IN ('failed', 'not_sent') OR p.receipt = 'failed')
     ORDER BY p.position LIMIT 1), 'send')
WHERE state = 'settled' AND capture = 0 AND failed_at IS NULL
    AND conversation_id IN (SELECT id FROM conversations WHERE channel = 'whatsapp')
    AND id IN (SELECT turn_id FROM parts WHERE state IN ('failed', 'not_sent') OR receipt = 'failed');
