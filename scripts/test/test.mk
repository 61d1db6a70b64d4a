# test.mk -- the tests of the scripts and of the pages
#
# Included by the Makefile.

script_tests := $(patsubst scripts/%,%,$(wildcard scripts/test/*.bats))

.PHONY: check-scripts
check-scripts: | dev-tools writable
	@scripts/judge.sh $(script_tests) lint/shellcheck
