"""The metrics process: asks the broker what all processes say of themselves, and shows it to Prometheus."""
