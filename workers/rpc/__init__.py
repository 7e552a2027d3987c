"""The rpc process: tells people and programs over HTTP what the node holds; it reads the store and writes nothing."""
