"""Quizzes and excerpts of generated files: what goes into the chapters, and what is refused."""

from pathlib import Path

import pytest
from quizzes import quiz, read_quiz
from steps import StepError
from worlds import World, excerpt, read_worlds, tabs

QUIZ = """
[[question]]
text = "Is 1 < 2 in `sh`?"
[[question.answers]]
text = "Yes."
correct = true
because = "It is."
[[question.answers]]
text = "No."
correct = {second}
because = "It is not."
"""
FILE = "[program:a]\n; why\n; indeed\ncommand=x\nother=1\n\n[program:b]\ncommand=y\n"


def test_a_quiz_is_read_without_a_script(tmp_path: Path) -> None:
    """What is said of each answer is there, once, and texts are escaped."""
    file = tmp_path / "restarts.toml"
    file.write_text(QUIZ.format(second="false"), encoding="utf-8")
    html = quiz("restarts", read_quiz(file))
    assert "<legend>1. Is 1 &lt; 2 in <code>sh</code>?</legend>" in html
    assert html.count("It is not.") == 1
    assert html.count('type="radio"') == 2


@pytest.mark.parametrize("text", [QUIZ.format(second="true"), QUIZ.replace("because", "becuase"), "x = ["])
def test_a_quiz_that_is_wrong_is_refused(tmp_path: Path, text: str) -> None:
    """Two right answers, a typing error in a key, no TOML: the file is named."""
    file = tmp_path / "restarts.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(StepError, match=r"docs/quizzes/restarts\.toml"):
        read_quiz(file)


@pytest.mark.parametrize(
    ("limits", "shown"),
    [
        ({"show": ["^command"]}, "; why\n; indeed\ncommand=x\n…\ncommand=y"),
        ({"begin": r"^\[program:b", "show": ["^command"]}, "command=y"),
        ({"end": "^other", "show": [r"^\[", "^other"]}, "[program:a]\n…\nother=1"),
        ({"begin": r"^\[program:b"}, "[program:b]\ncommand=y"),
    ],
)
def test_what_is_shown_of_a_file(limits: dict[str, str], shown: str) -> None:
    """Lines with the comments above them, a sign where others are left out, between two limits."""
    world = World(tool="x", file="x", says="x", **limits)
    assert excerpt("x", FILE, world) == shown


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answers": {"https_proxy": "apache"}}, "caddy.*not apache"),
        ({"answers": {"weather": "fine"}}, "does not ask for weather"),
        ({"file": "deploy/nginx.conf"}, r"no deploy/nginx\.conf"),
        ({"show": ["^no such line"]}, r"deploy/start: no line matches '\^no such line'"),
    ],
)
def test_an_excerpt_that_cannot_be_made_is_refused(changes: dict[str, object], message: str) -> None:
    """The message names the data, the tool, and what there is not."""
    world = World(**{"tool": "X", "file": "deploy/start", "says": "x", **changes})
    with pytest.raises(StepError, match=rf"docs/worlds/restarts\.toml: X: .*{message}"):
        tabs("restarts", [world])


def test_a_pattern_that_is_none_is_refused(tmp_path: Path) -> None:
    """The file is named, not a traceback shown."""
    file = tmp_path / "restarts.toml"
    file.write_text('[[world]]\ntool = "x"\nfile = "x"\nsays = "x"\nshow = ["("]\n', encoding="utf-8")
    with pytest.raises(StepError, match=r"docs/worlds/restarts\.toml"):
        read_worlds(file)
