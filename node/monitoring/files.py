"""Which files are written from the declarations, and their texts."""

from node.monitoring import alerts, dashboards, document


def texts() -> dict[str, str]:
    """Return every written file: its path below the project's root, and what it holds."""
    boards = {
        f"configs/grafana/dashboards/{board.name}.json": dashboards.text(board)
        for board in dashboards.BOARDS
    }
    return {
        "docs/metrics.md": document.text(),
        "configs/prometheus/rules.yml": alerts.rules(),
        "configs/prometheus/rules_test.yml": alerts.tests(),
        **boards,
    }
