"""The commands: one module per noun; each parses, makes one call and renders."""
