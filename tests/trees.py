"""Folders in the layout of a corpus, for tests: {path: text, bytes, or None for an empty file}."""


def lay_out(root, files):
    """Write the files below ``root``; returns it."""
    for name, content in (files if isinstance(files, dict) else dict.fromkeys(files)).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content or b"")
    return root
