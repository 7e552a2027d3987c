"""The status page at ``/``: one HTML file, and the events that keep it up to date while somebody looks at it."""
