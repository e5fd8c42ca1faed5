"""The manifests of a generated project, as Kubernetes' own schemas and kubectl see them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not shutil.which("kubectl"), reason="install kubectl: https://kubernetes.io/docs/tasks/tools"
)
# Those that get fixes: https://kubernetes.io/releases
SUPPORTED = ("1.34", "1.35", "1.36")
# Their schemas are not Kubernetes' own: the Gateway API's and cert-manager's.
OF_OTHERS = ("Gateway", "HTTPRoute", "Issuer")


@pytest.fixture(params=["production", "staging"])
def rendered(request: pytest.FixtureRequest, baked: Callable[..., Path], tmp_path: Path) -> Path:
    """Render an overlay."""
    project = baked(process_manager="kubernetes", database="postgresql")
    done = subprocess.run(
        ["kubectl", "kustomize", f"deploy/kubernetes/overlays/{request.param}"],
        cwd=project,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    file = tmp_path / "rendered.yaml"
    file.write_text(done.stdout, encoding="utf-8")
    return file


@pytest.mark.parametrize("version", SUPPORTED)
def test_schemas_of_supported_versions_agree(rendered: Path, version: str) -> None:
    """No field is unknown, and none has a wrong type; only objects of others have no schema here."""
    done = subprocess.run(
        [sys.executable, "-m", "kubernetes_validate", "--strict", "-k", version, rendered],
        capture_output=True,
        text=True,
        check=False,
    )
    said = (done.stdout + done.stderr).splitlines()
    assert done.returncode == 0, said
    warnings = [line for line in said if not line.startswith("INFO")]
    assert all(any(f"kind {kind} " in line for kind in OF_OTHERS) for line in warnings), warnings


def test_no_secret_is_in_the_files(baked: Callable[..., Path], rendered: Path) -> None:
    """The Secret is made outside: what is applied holds neither it nor its values."""
    text = rendered.read_text(encoding="utf-8")
    values = (baked(process_manager="kubernetes", database="postgresql") / ".env").read_text(encoding="utf-8")
    token = next(line.partition("=")[2] for line in values.splitlines() if line.startswith("API_TOKEN="))
    assert token not in text
    assert "kind: Secret\n" not in text
    assert "postgresql+psycopg://" not in text
