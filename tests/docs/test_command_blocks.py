"""The commands of the course do what the course shows; a block that is not run says why."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from blocks import Command, blocks, differs, run
from harness import REPOSITORY, copy_of

DOCS = REPOSITORY / "docs"
PAGES = sorted(file.stem for file in DOCS.glob("*.md") if list(blocks(file.read_text(encoding="utf-8"))))
# Pages that speak of a project which was not generated; all others are run in one that is fresh from the template.
IN_PROJECT = {"your-project": REPOSITORY / "tests/corpus/poetry"}
# Pages whose commands take a few seconds; the others are run with --docs-all.
QUICK = ("getting-started", "labs", "processes", "your-project")


def commands_of(page: str) -> list[Command]:
    """Return the commands of a page that are run."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    return [command for block in blocks(text) if block.run for command in block.commands]


@pytest.mark.parametrize("page", PAGES)
def test_each_block_has_commands(page: str) -> None:
    """A block without one is no `console`: it would never be run, and nobody would notice."""
    found = blocks((DOCS / f"{page}.md").read_text(encoding="utf-8"))
    assert [block.line for block in found if not block.commands] == []


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_commands_print_what_the_page_shows(
    page: str, baked: Callable[..., Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """All blocks of a page, in order, in one project."""
    if page not in QUICK and not request.config.getoption("--docs-all"):
        pytest.skip("only with --docs-all")
    project = copy_of(IN_PROJECT.get(page) or baked(), tmp_path / "notes_api")
    for arguments in ("init -q -b main", "add -A", "-c user.name=x -c user.email=x@x commit -q -m Begin"):
        subprocess.run(["git", *arguments.split()], cwd=project, check=True)
    home = tmp_path / "home"
    home.mkdir()
    page_commands = commands_of(page)
    results = run(page_commands, project, home)
    wrong = [
        f"docs/{page}.md:{command.line}: {command.text}\n{what}"
        for command, (printed, status) in zip(page_commands, results, strict=True)
        if (what := differs(command, printed, status))
    ]
    shutil.rmtree(project)
    assert not wrong, "\n\n".join(wrong)


PAGE = """Text.

```console
$ echo a;  echo b
a
b
$ false
$ printf '%s\\n' x 17 y
x
…
```

<!-- not run: it needs a network -->
```console
$ false
```

```console
$ sleep 1000 & echo "started $!"
started …
$ printf 'more\\n'
less
```
"""


def test_a_page_that_is_wrong_is_noticed(tmp_path: Path) -> None:
    """A failing command, other output; what is right, left open or not run is no error, and nothing is left over."""
    page = [command for block in blocks(PAGE) if block.run for command in block.commands]
    results = run(page, tmp_path, tmp_path)
    wrong = [command.line for command, result in zip(page, results, strict=True) if differs(command, *result)]
    assert wrong == [7, 21]
    pid = int(results[3][0].split()[1])
    assert not Path(f"/proc/{pid}").exists()
