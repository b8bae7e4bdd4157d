"""What was promised: deliveries, conversations, turns and parts, kept until they are settled."""
