"""The node as an operator sees it: what is shipped for Prometheus and Grafana works with the real programs."""
