"""How WhatsApp looks on the wire: bytes and values in, values or an error out; no I/O, no clock."""
