"""Write what README.md and docs/ take from the code (checks, labs, the report's schema) and from data.

Data are quizzes and the excerpts of generated projects. `--check` writes nothing and fails when something is stale.
In both modes each check must have its heading in its concept's chapter, and each heading without a check must be
marked as planned.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import course
import sizing
from markers import between, replaced
from quizzes import quiz, read_quiz
from steps import StepError, exit_code_of, say
from worlds import read_worlds, tabs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_deploycheck.check import Check
    from pytest_deploycheck.labs.lab import Lab
    from pytest_deploycheck.stacks.keepers import Keepers

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = ("https", "startup", "restarts", "replication", "memory", "previous_steps", "resources")
PLANNED = "*Planned.*"
SECTION = re.compile(
    r"^### (?P<id>[A-Z]+\d+): (?P<title>.+) \{#(?P=id)\}\n(?P<body>.*?)(?=^#{1,3} |\Z)",
    re.MULTILINE | re.DOTALL,
)


def checks_of_the_plugin() -> list[Check]:
    """Return every check that the plugin has."""
    try:
        from pytest_deploycheck.check import all_checks

        return all_checks()
    except ImportError as error:
        raise StepError(f"error: the checks cannot be listed: {error}") from None


def labs_of_the_plugin() -> Sequence[Lab]:
    """Return every lab that the plugin has."""
    from pytest_deploycheck.labs.lab import all_labs

    return all_labs()


def as_sentence(text: str) -> str:
    """Return a line of the code as a sentence."""
    text = text.strip().removesuffix(".")
    return f"{text[:1].upper()}{text[1:]}."


def list_of_checks(checks: Iterable[Check]) -> str:
    """Return the table for the README."""
    lines = ["| Concept | ID | Promise |", "|---|---|---|"]
    shown = None
    for check in checks:
        concept = check.concept
        name = "" if concept is shown else f"[{concept.title}](docs/{concept.slug}.md)"
        shown = concept
        lines.append(f"| {name} | {check.id} | {check.title} |")
    return "\n".join(lines)


def with_list(readme: str, checks: Iterable[Check]) -> str:
    """Return the README with the present list between its markers."""
    return between(readme, "README.md", "checks", list_of_checks(checks))


def list_of_labs(labs: Iterable[Lab]) -> str:
    """Return a table of labs."""
    lines = ["| Lab | Name | Minutes | Path | Fits projects with |", "|---|---|---|---|---|"]
    for lab in labs:
        needs = "; ".join(" or ".join(wanted) for wanted in lab.needs.values()) or "any answers"
        path = "core" if lab.core else "further practice"
        lines.append(f"| {lab.title} | `{lab.name}` | {lab.minutes} | {path} | {needs} |")
    return "\n".join(lines)


def keepers_of_cloud(checks: Iterable[Check]) -> str:
    """Return who answers each check of a project for platforms, what is read, and why nobody does."""
    from pytest_deploycheck.stacks.cloud.answers import KEEPERS
    from pytest_deploycheck.stacks.cloud.promises import PROMISES

    read = {check_id: what for check_id, (what, _) in PROMISES.items()}
    return list_of_keepers(checks, KEEPERS, "the platforms' files", read)


def keepers_of_kubernetes(checks: Iterable[Check]) -> str:
    """Return the same of a project for Kubernetes."""
    from pytest_deploycheck.stacks.kubernetes import PROMISES
    from pytest_deploycheck.stacks.kubernetes.answers import KEEPERS

    read = {check_id: promise.reads for check_id, promise in PROMISES.items()}
    return list_of_keepers(checks, KEEPERS, "the manifests", read)


def keepers_of_cluster(checks: Iterable[Check]) -> str:
    """Return who answers each check where a cluster is asked."""
    from pytest_deploycheck.stacks.kubernetes.cluster.answers import KEEPERS_OF_CLUSTER

    return "\n".join(who_answers(checks, KEEPERS_OF_CLUSTER))


def who_answers(checks: Iterable[Check], keepers: Keepers) -> list[str]:
    """Return the lines of a table of who answers each check."""
    from pytest_deploycheck.stacks.keepers import Keeper

    lines = ["| Answer | Checks |", "|---|---|"]
    for keeper in Keeper:
        kept = (check for check in checks if keepers.of(check.id) is keeper)
        links = " ".join(f"[{check.id}]({check.concept.slug}.md#{check.id})" for check in kept)
        lines.append(f"| {keepers.words(keeper)} | {links} |")
    return lines


def list_of_keepers(checks: Iterable[Check], keepers: Keepers, files: str, read: Mapping[str, str]) -> str:
    """Return a table of who answers each check, one of what is read for it, and one of the reasons why nobody does."""
    reasons = {**keepers.not_verified, **keepers.not_applicable}
    lines = [
        *who_answers(checks, keepers),
        "",
        f"What is read in {files}:",
        "",
        "| Check | What is read |",
        "|---|---|",
    ]
    lines += [f"| {check.id} | {read[check.id]} |" for check in checks if check.id in read]
    lines += ["", "Why others have no answer:", "", "| Check | Reason |", "|---|---|"]
    lines += [f"| {check.id} | {reasons[check.id]} |" for check in checks if check.id in reasons]
    return "\n".join(lines)


def all_lists_of_labs(labs: Sequence[Lab]) -> str:
    """Return a heading and a table for each concept."""
    parts = []
    for concept in dict.fromkeys(lab.concept for lab in labs):
        table = list_of_labs(lab for lab in labs if lab.concept is concept)
        parts.append(f"### {concept.title}\n\nChapter: [{concept.title}]({concept.slug}.md)\n\n{table}")
    sum_of_all = f"{len(labs)} labs, {course.in_hours(sum(lab.minutes for lab in labs))}."
    return "\n" + "\n\n".join([sum_of_all, *parts]) + "\n"


def paragraph(check: Check) -> str:
    """Return what a chapter takes from the code."""
    return (
        f"<!-- check:{check.id} -->\n"
        f"**What is done.** {as_sentence(check.act)}\n\n"
        f"**What must be seen.** {as_sentence(check.expect)}\n\n"
        f"**If it fails.** {as_sentence(check.fix)}\n"
        "<!-- /check -->"
    )


def with_paragraphs(chapter: str, checks: Sequence[Check]) -> str:
    """Return a chapter with the present titles and paragraphs of its checks."""
    by_id = {check.id: check for check in checks}

    def renewed(section: re.Match[str]) -> str:
        check = by_id.get(section["id"])
        if check is None:
            return section[0]
        block = rf"<!-- check:{check.id} -->.*?<!-- /check -->"
        body = re.sub(block, lambda _: paragraph(check), section["body"], flags=re.DOTALL)
        return f"### {check.id}: {check.title} {{#{check.id}}}\n{body}"

    return SECTION.sub(renewed, chapter)


def problems_of(name: str, chapter: str, checks: Iterable[Check]) -> list[str]:
    """Return what is wrong with the headings of a chapter."""
    sections = list(SECTION.finditer(chapter))
    by_id = {section["id"]: section["body"] for section in sections}
    implemented = {check.id for check in checks}
    problems = [
        f"{check_id} has no section: write `### {check_id}: its title {{#{check_id}}}`"
        for check_id in sorted(implemented - by_id.keys())
    ]
    for check_id, body in by_id.items():
        planned = body.lstrip().startswith(PLANNED)
        if check_id not in implemented and not planned:
            problems.append(f"{check_id} has no check: begin its section with {PLANNED}")
        if check_id in implemented and planned:
            problems.append(f"{check_id} is marked as planned and has a check")
        if check_id in implemented and not planned and f"<!-- check:{check_id} -->" not in body:
            problems.append(f"{check_id} needs the lines <!-- check:{check_id} --> and <!-- /check -->")
    if len(by_id) != len(sections):
        problems.append("an ID has two sections")
    return [f"docs/{name}.md: {problem}" for problem in problems]


def with_labs(labs: Iterable[Lab], name: str, text: str) -> str:
    """Return a chapter with the list of the labs that it leads to."""
    table = list_of_labs(lab for lab in labs if lab.chapter == name)
    return between(text, f"docs/{name}.md", "labs", f"\n{table}\n")


def with_data(root: Path, page: Path, text: str) -> str:
    """Return a page with its quiz and its worlds, if it has markers or there is data."""
    name, chapter = f"docs/{page.name}", page.stem
    quizzes, worlds = (root / "docs" / kind / f"{chapter}.toml" for kind in ("quizzes", "worlds"))
    if quizzes.exists() or "<!-- quiz:" in text:
        content = quiz(chapter, read_quiz(present(quizzes, name)))
        text = replaced(text, name, f"<!-- quiz:{chapter} -->", "<!-- /quiz -->", content)
    if worlds.exists() or "<!-- world:" in text:
        content = tabs(chapter, read_worlds(present(worlds, name)))
        text = replaced(text, name, f"<!-- world:{chapter} -->", "<!-- /world -->", content)
    return text


def present(data: Path, page: str) -> Path:
    """Return a file, which must be there because a page has markers for it."""
    if not data.is_file():
        raise StepError(
            f"error: {page} has markers for docs/{data.parent.name}/{data.name}, which is not there"
        )
    return data


def without_page(root: Path) -> list[str]:
    """Return the data that no page shows."""
    files = [*(root / "docs/quizzes").glob("*.toml"), *(root / "docs/worlds").glob("*.toml")]
    return [
        f"docs/{file.parent.name}/{file.name}: there is no docs/{file.stem}.md"
        for file in sorted(files)
        if not (root / "docs" / f"{file.stem}.md").is_file()
    ]


def generate(root: Path, checks: Sequence[Check]) -> tuple[dict[Path, str], list[str]]:
    """Return the files as they should be, and what a program cannot put right."""
    files = {root / "README.md": with_list((root / "README.md").read_text(encoding="utf-8"), checks)}
    problems = without_page(root)
    labs = labs_of_the_plugin()
    page = root / "docs" / "labs.md"
    files[page] = between(page.read_text(encoding="utf-8"), "docs/labs.md", "labs", all_lists_of_labs(labs))
    page = root / "docs" / "sizing.md"
    sizes = sizing.table(root / "tools" / "sizing.toml")
    files[page] = between(page.read_text(encoding="utf-8"), "docs/sizing.md", "sizing", sizes)
    for name, keepers in (("cloud", keepers_of_cloud), ("kubernetes", keepers_of_kubernetes)):
        page = root / "docs" / f"{name}.md"
        text = page.read_text(encoding="utf-8")
        files[page] = between(text, f"docs/{name}.md", "keepers", keepers(checks))
    in_cluster = keepers_of_cluster(checks)
    files[page] = between(files[page], "docs/kubernetes.md", "keepers-of-cluster", in_cluster)
    for name in CHAPTERS:
        path = root / "docs" / f"{name}.md"
        of_chapter = [check for check in checks if check.concept.slug == name]
        text = with_paragraphs(path.read_text(encoding="utf-8"), of_chapter)
        files[path] = with_labs(labs, name, text)
        problems += problems_of(name, files[path], of_chapter)
    for path in sorted((root / "docs").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        files[path] = with_data(root, path, files.get(path, text))
        if any(lab.page == path.stem for lab in labs):
            files[path] = with_labs(labs, path.stem, files[path])
    chapters = course.read_course(root, labs)
    page = root / "docs" / "index.md"
    files[page] = between(files[page], "docs/index.md", "course", course.overview(chapters))
    for chapter in chapters:
        page = root / "docs" / f"{chapter.name}.md"
        files[page] = between(files[page], f"docs/{page.name}", "minutes", chapter.line)
    schema = "report.schema.json"
    files[root / "docs" / schema] = (root / "pytest_deploycheck/report" / schema).read_text(encoding="utf-8")
    return files, problems


def main() -> int:
    """Write the files, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when something is stale")
    check_only = parser.parse_args().check
    files, problems = generate(ROOT, checks_of_the_plugin())
    stale = [path for path, text in files.items() if path.read_text(encoding="utf-8") != text]
    for path in stale:
        if check_only:
            problems.append(f"{path.relative_to(ROOT)} is stale: run `make generate` and commit the result")
        else:
            path.write_text(files[path], encoding="utf-8")
            say(f"wrote {path.relative_to(ROOT)}")
    for problem in problems:
        say(f"error: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
