"""``python -m node.monitoring`` in the project's root writes the files anew."""

from pathlib import Path

from node.monitoring.files import texts

for name, text in texts().items():
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
