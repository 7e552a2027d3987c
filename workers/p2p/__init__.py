"""The p2p process: the only one that speaks with peers, as client and as server; it never decodes a body."""
