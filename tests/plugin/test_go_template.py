"""The part of Go's templates that configuration files use gives what Go gives."""

from __future__ import annotations

from contextlib import suppress

import pytest
from fuzz import PROFILE, TEXTS
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_deploycheck.proxies.go_template import TemplateError, expand

VALUES = {"DOMAIN": "example.com", "EMPTY": "", "QUOTED": 'a"b'}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("no action", "no action"),
        ('a {{ env "DOMAIN" }} b', "a example.com b"),
        ("{{env `DOMAIN`}}", "example.com"),
        ('{{ env "MISSING" }}|', "|"),
        ('{{ env "QUOTED" | quote }}', '"a\\"b"'),
        ('{{ env "EMPTY" | default "x" }}{{ default "x" (env "DOMAIN") }}', "xexample.com"),
        ('{{ "DOMAIN" | env }}', "example.com"),
        ('{{ if env "DOMAIN" }}a{{ else }}b{{ end }}', "a"),
        ('{{ if env "EMPTY" }}a{{ else }}b{{ end }}', "b"),
        ('{{ if env "EMPTY" }}a{{ if env "DOMAIN" }}b{{ else }}c{{ end }}d{{ end }}e', "e"),
        ('{{ if not (env "EMPTY") }}a{{ end }}', "a"),
        ('{{ ne (env "DOMAIN") "localhost" }} {{ eq (env "DOMAIN") "x" "example.com" }}', "true true"),
        ("a {{- /* a comment */ -}} b", "ab"),
        ("{{ 80 }}{{ true }}", "80true"),
    ],
)
def test_is_expanded(text: str, expanded: str) -> None:
    """Values, pipes, conditions, comments, and blanks that are trimmed."""
    assert expand(text, VALUES) == expanded


@pytest.mark.parametrize(
    ("text", "line", "action"),
    [
        ("a\n{{ range $i := .X }}\n{{ end }}", 2, "{{ range $i := .X }}"),
        ("{{ .Domain }}", 1, "{{ .Domain }}"),
        ('{{ if env "X" }}\n', 2, "{{ if … without end }}"),
        ("\n\n{{ end }}", 3, "{{ end }}"),
        ("{{ else }}", 1, "{{ else }}"),
        ('{{ env "X" }', 1, ""),
        ("{{ env }}", 1, "{{ env }}"),
        ('{{ (env "X" }}', 1, '{{ (env "X" }}'),
        ('{{ env "X") }}', 1, '{{ env "X") }}'),
        ("{{}}", 1, "{{  }}"),
    ],
)
def test_what_cannot_be_expanded_is_told(text: str, line: int, action: str) -> None:
    """The line, and the action as it stands there. An action that never closes is text."""
    if not action:
        assert expand(text, VALUES) == text
        return
    with pytest.raises(TemplateError) as caught:
        expand(text, VALUES)
    assert caught.value.line == line
    assert str(caught.value).startswith(action)


PARTS = TEXTS | st.sampled_from(
    [
        "{{",
        "}}",
        "{{- ",
        " -}}",
        "if",
        "else",
        "end",
        "env",
        '"X"',
        "`X`",
        "(",
        ")",
        "|",
        "eq",
        " ",
        "1",
        "9" * 5000,
    ]
)


@PROFILE
@given(text=st.lists(PARTS, max_size=12).map("".join))
@example(text="{{" + "(" * 5000 + "}}")
def test_any_template(text: str) -> None:
    """It is expanded, or refused."""
    with suppress(TemplateError):
        expand(text, {"X": "value"})
