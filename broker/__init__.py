"""Bounded queues between processes: moves opaque bodies and knows no Starknet."""
