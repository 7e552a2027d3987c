"""``hera doctor``: says of everything that a node needs whether it is there."""
