"""Every decoder that remote bytes reach, fed with mutated bytes: none may raise what its callers do not expect."""
