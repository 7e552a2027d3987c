"""The node as a whole: which processes exist, how they join, and how a person starts them."""
