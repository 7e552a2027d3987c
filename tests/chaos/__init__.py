"""What breaks a node on purpose, for minutes: ``make chaos`` runs it, ``make test`` does not."""
