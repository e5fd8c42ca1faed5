"""Projects that the template never saw can be broken too: the checks tell it without a manager and without a proxy."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness import Change, VerdictOf, run_deploycheck

CORPUS = Path(__file__).parents[1] / "corpus"
# What the unbroken project passes and costs little; on a broken one further checks would only be blocked.
CHECKS = "BOOT002,BOOT007,BOOT008,REP001,REP002,RST001,RST005,RST007,RST008"
DOCKERFILE = 'ENTRYPOINT ["gunicorn", "--config", "gunicorn.conf.py"]\nCMD ["orders.main:app"]\n'
APP = "app = FastAPI(docs_url=None, redoc_url=None)\n"
MAIN, SETTINGS = "orders/main.py", "gunicorn.conf.py"


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A change of a project of the corpus, and the checks of ``CHECKS`` that fail then; none if it is right."""

    id: str
    project: str
    file: str
    old: str
    new: str
    caught_by: frozenset[str]


def broken(name: str, file: str, old: str, new: str, *caught_by: str, project: str = "gunicorn") -> Broken:
    """Make a record."""
    return Broken(id=name, project=project, file=file, old=old, new=new, caught_by=frozenset(caught_by))


RECORDS = [
    broken(
        "a shell in between keeps SIGTERM for itself",
        "Dockerfile",
        DOCKERFILE,
        "CMD gunicorn --config gunicorn.conf.py orders.main:app; echo ended\n",
        "RST007",
        "RST008",
    ),
    broken(
        "no time for requests in flight", SETTINGS, "graceful_timeout = 5", "graceful_timeout = 0", "RST008"
    ),
    broken(
        "one worker, whatever is asked for",
        SETTINGS,
        "int(os.environ",
        "1 + 0 * int(os.environ",
        "REP001",
        "REP002",
    ),
    broken("a reloader", SETTINGS, "timeout = 10\n", "timeout = 10\nreload = True\n", "BOOT008"),
    broken("debug mode", MAIN, "FastAPI(", "FastAPI(debug=True, ", "BOOT008"),
    broken(
        "an error ends the worker",
        MAIN,
        APP,
        f"import os\n\n{APP}\n\n@app.exception_handler(Exception)\nasync def end(request, error):\n    os._exit(1)\n",
        "BOOT008",
        "RST005",
    ),
    broken(
        "a value that only the author's shell has",
        MAIN,
        APP,
        f'import os\n\nos.environ["SSH_AUTH_SOCK"]\n{APP}',
        "BOOT002",
    ),
    broken(
        "ready before it is",
        MAIN,
        '@app.get("/orders")\ndef orders():\n',
        "import time\n\nfrom fastapi import HTTPException\n\nBEGAN = time.monotonic()\n\n\n"
        '@app.get("/orders")\ndef orders():\n    if time.monotonic() < BEGAN + 3:\n        raise HTTPException(503)\n',
        "BOOT007",
        "RST001",
    ),
    broken(
        "right: a shell that makes way for the server",
        "Dockerfile",
        DOCKERFILE,
        "CMD exec gunicorn --config gunicorn.conf.py orders.main:app\n",
    ),
    broken(
        "right: Uvicorn watches over its workers",
        "Dockerfile",
        DOCKERFILE,
        'CMD ["uvicorn", "orders.main:app", "--workers", "2", "--port", "8000", "--timeout-graceful-shutdown", "5"]\n',
    ),
    broken(
        "right: a platform stops the server too, not only the shell of the Procfile",
        "Procfile",
        "release: python -m linkshort.prepare\nweb: uvicorn",
        "web: python -m linkshort.prepare; uvicorn",
        project="procfile",
    ),
]
DAILY = ("a shell in between keeps SIGTERM for itself", "right: Uvicorn watches over its workers")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run two of them each day, all with --corpus-all."""
    if "record" in metafunc.fixturenames:
        everything = metafunc.config.option.corpus_all
        chosen = [record for record in RECORDS if everything or record.id in DAILY]
        metafunc.parametrize("record", chosen, ids=lambda record: record.id)


@pytest.mark.corpus
@pytest.mark.slow
def test_a_command_alone_is_judged_too(record: Broken, verdict_of: VerdictOf, tmp_path: Path) -> None:
    """Exactly the named checks fail on a broken command, and none on a right one."""
    project = tmp_path / "project"
    shutil.copytree(CORPUS / record.project, project)
    (project / ".venv").symlink_to(sys.prefix)
    Change(file=record.file, old=record.old, new=record.new).apply(project)
    verdict = verdict_of(
        lambda: run_deploycheck(project, f"--deploycheck-select={CHECKS}"),
        lambda verdict: verdict.caught == record.caught_by,
    )
    assert verdict.caught == record.caught_by, verdict.explain()
    assert verdict.exit_status == (1 if record.caught_by else 0)
    assert len(verdict.ids("passed") | verdict.caught) >= 6 or verdict.ids("blocked"), verdict.explain()
