"""The protocol's rules: wire messages, hashes, commitments, tries, signatures. Pure: no I/O, clock or socket."""
