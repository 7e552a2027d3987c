"""Tests of the p2p process."""
