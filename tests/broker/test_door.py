"""Workers of other machines: the right key works, everything else is refused, logged and bounded. Real sockets."""
