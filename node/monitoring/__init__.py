"""Monitoring as code: ``python -m node.monitoring`` writes alert rules, dashboards and docs/metrics.md from here."""
