# Each target makes the environment it needs. Python 3.11 or newer and make are enough; uv is used where it is found.

PYTHON ?= python3# the Python to make the environments with
INSTALLER ?= auto# auto, uv or pip
PYTEST_ARGS ?= -n 2 --dist worksteal# for `make test`
DEMO ?= build/demo# the folder for `make demo`

TOOL = @command -v "$(PYTHON)" >/dev/null || { \
	echo "error: $(PYTHON) is not on the PATH; install Python 3.11 or newer, or: make PYTHON=/path/to/python3.12" >&2; exit 1; }; \
	exec "$(PYTHON)" tools/with_python.py
VENV = .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help demo test matrix lint audit docs generate picture environment

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1#\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'#' '{ printf "%-18s %s\n", $$1, $$2 }'

demo:  ## generate a project, install it and run `pytest --deploycheck` in it
	$(TOOL) tools/demo.py --installer $(INSTALLER) --folder "$(DEMO)"

test: environment  ## run the tests
	@exec $(VENV) -m pytest $(PYTEST_ARGS)

matrix: environment  ## a project of each two answers that go together: its own tests and all checks; takes an hour
	@exec $(VENV) -m pytest tests/matrix --matrix

lint: environment  ## ruff, mypy, and whether the generated texts are up to date
	@$(VENV) -m ruff check .
	@$(VENV) -m ruff format --check .
	@$(VENV) -m mypy
	@$(VENV) tools/generate.py --check

audit: environment  ## weaknesses in the plugin (bandit) and in the workflows (zizmor)
	@$(VENV) -m bandit --quiet --configfile pyproject.toml --recursive pytest_deploycheck tools
	@.venv/bin/zizmor --quiet --offline .github

docs: environment  ## build the course into build/site
	@NO_MKDOCS_2_WARNING=1 $(VENV) -m mkdocs build --strict --quiet --site-dir build/site
	@echo "build/site/index.html"

generate: environment  ## renew what README.md and docs/ take from the code
	@$(VENV) tools/generate.py

picture: environment  ## draw the pictures of the docs from a run in the project that `make demo` made
	@$(VENV) tools/terminal_picture.py docs/terminal.svg --cwd $(DEMO)/notes_api --title "pytest --deploycheck" \
		-- .venv/bin/python -m pytest --deploycheck --deploycheck-report report
	@$(VENV) tools/report_picture.py $(DEMO)/notes_api/report/report.html docs/report.png header '#stack'
	@$(VENV) tools/report_picture.py tests/report/recorded/broken.json docs/report-release.png '#RST009 figure'

environment:  ## make or renew .venv only
	$(TOOL) tools/environment.py --installer $(INSTALLER) dev
