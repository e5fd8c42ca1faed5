"""The values of a copy: its environment file, and the files of its secrets."""

from __future__ import annotations

import dotenv

from pytest_deploycheck.sandbox.run import ProjectCopy

# As the users of containers need it; around it is the run's own folder, which nobody else can enter.
READABLE = 0o444


def set_value(copy: ProjectCopy, name: str, value: str | None) -> None:
    """Change a value where the copy has it, the file of a secret or a line of its environment file, or take it out."""
    config = copy.run.config
    secret = config.secret_files.get(name)
    if secret:  # it may be without a right to be written
        file = copy.root / secret.path
        file.unlink(missing_ok=True)
        if value is not None:
            file.write_text(f"{value}\n", encoding="utf-8")
            file.chmod(READABLE)
        if name not in config.env:
            return
    file = copy.root / config.env_file
    if value is None:
        dotenv.unset_key(file, name)
    else:
        dotenv.set_key(file, name, value, quote_mode="never")
