# The one door: `make check` formats, lints, types, holds the walls and tests.
.PHONY: setup check
setup:
	python3 -m venv .venv
	.venv/bin/python -m pip install -q -e '.[dev]'
check:
	bash .ci/check
