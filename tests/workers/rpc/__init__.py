"""Tests of what the rpc process answers."""
