"""The last stage of a block's path: order, state root, one atomic write."""
