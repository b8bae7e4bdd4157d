"""Point Meta's webhook at us, remember what was there, put it back: records, plan (decisions), registrar (calls)."""
