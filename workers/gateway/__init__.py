"""A local feeder gateway: serves recorded or generated blocks over HTTP, in the feeder gateway's own form."""
