# Makefile -- the verbs of the suite
#
#   make lab-5       build and run lab 5, live, then compare with expected/
#   make labs        all of them, one after the other
#   make check-5     judge lab 5
#   make check       judge every lab, test the scripts, run shellcheck
#   make accept-5    make what lab 5 prints now its expected output
#   make shake-5     is its output the same whichever call is delayed?
#   make fault-5     does it survive the failure of any of its calls?
#                    CALL=accept ERROR=EMFILE: of just this one, live
#   make break-5     does each edit of its "Break it" break it?
#                    EDIT=2: what does this one do?
#   make shake, make fault, make break: the same, of every lab
#   make bench       what does a message cost? tables, and build/bench/
#                    QUICK=1 TRANSPORTS=tcp,udp SIZES=64 PLACES=self
#   make lint        shellcheck, shfmt, clang-format, clang-tidy
#   make check-all   all of that, and every lab built by other compilers, with
#                    sanitizers, as an ordinary user, and under load
#   make clean       remove build/
#
# In class, 'LAB_PAUSE=1 make lab-5' waits for Enter before each evidence.

CFLAGS = -g -O2 -Wall -Wextra

# Of a locale that is not installed bash complains wherever it starts, as if the
# lab did; with a CDPATH, cd prints where it went.
export LC_ALL = C
unexport CDPATH

names    := $(sort $(notdir $(wildcard labs/[0-9][0-9]-*)))
number    = $(patsubst 0%,%,$(firstword $(subst -, ,$1)))
numbers  := $(foreach name,$(names),$(call number,$(name)))
named     = $(filter 0$1-% $1-%,$(names))
proofs   := shake fault break
variants := gcc clang musl asan alone
tests    := $(wildcard scripts/test/*.bats)
linters  := shellcheck shfmt clang-format clang-tidy
scripts  := $(wildcard scripts/*.sh scripts/*/*.sh scripts/test/* .ci/run)
sources  := $(wildcard labs/*/*.c)
helpers  := $(wildcard scripts/*.c scripts/*/*.c)
programs := $(names:%=build/%)
varied   := $(foreach variant,$(variants),$(names:%=build/$(variant)/%))

# What make check counts, and what make check-all adds: files of TAP.
tap       = $(patsubst %,build/results/%.tap,$1)
results  := $(call tap,$(names) tests shellcheck)
proved   := $(call tap,$(foreach proof,$(proofs),$(names:%=$(proof)/%)))
more     := $(call tap,$(varied:build/%=%) $(filter-out shellcheck,$(linters)) \
                       user load)

given    := $(filter command,$(origin CALL) $(origin ERROR) $(origin EDIT))
ifneq ($(and $(given),$(filter $(proofs),$(MAKECMDGOALS))),)
    $(error CALL, ERROR and EDIT are for one lab: make fault-5 CALL=accept)
endif

.DELETE_ON_ERROR:
.SECONDEXPANSION:
verbs    := lab check accept $(proofs)
.PHONY: help labs check lint $(proofs) check-all clean tools dev-tools \
        writable FORCE $(foreach verb,$(verbs),$(numbers:%=$(verb)-%))

help:
	@sed -n '/^#  /s/^# //p; /^# In/s/^#/ /p' Makefile; echo
	@sed -n 's/^ \* 0*\([0-9]*\)-[^ ]* -- /  lab \1  /p' $(sources) /dev/null

$(numbers:%=lab-%): lab-%: build/$$(call named,$$*)
	@scripts/check.sh --live $< || [ $$? = 77 ]

labs: $(programs)
	@status=0; for lab in $^; do echo "# $${lab#build/}"; \
	    scripts/check.sh --live $$lab || [ $$? = 77 ] || status=1; echo; done; \
	    exit $$status

$(numbers:%=check-%): check-%: build/results/$$(call named,$$*).tap
	@scripts/tally.sh $^

$(numbers:%=accept-%): accept-%: build/$$(call named,$$*)
	@scripts/accept.sh $<

# These run on their own, live; shake, fault and break below keep the results.
$(numbers:%=shake-%): shake-%: build/$$(call named,$$*) build/chosen.so
	@scripts/shake.sh $< || [ $$? = 77 ]

$(numbers:%=fault-%): fault-%: build/$$(call named,$$*) build/chosen.so
	@scripts/fault.sh $< || [ $$? = 77 ]

$(numbers:%=break-%): break-%: labs/$$(call named,$$*) | writable
	@scripts/break.sh $< || [ $$? = 77 ]

lab-0%: lab-% ;
check-0%: check-% ;
accept-0%: accept-% ;
shake-0%: shake-% ;
fault-0%: fault-% ;
break-0%: break-% ;
$(verbs:%=%-%):
	@echo "there is no lab $*; the labs are: $(numbers)" >&2; exit 2

check: $(results)
	@scripts/tally.sh $^

$(proofs): $$(call tap,$$(addprefix $$@/,$(names)))
	@scripts/tally.sh $^

include scripts/bench/bench.mk

lint: dev-tools $(call tap,$(linters))
	@scripts/tally.sh $(call tap,$(linters))

check-all: dev-tools $(results) $(more) $(proved)
	@scripts/tally.sh $(results) $(more) $(proved)

clean:
	rm -rf build

# A lab is one C file, and lab.h. One that does not compile is a failed check
# and not the end of make: check.sh finds no program, and says so.

$(programs) $(varied): $$(wildcard labs/$$(@F)/*.c) $(wildcard common/*.h) \
                       Makefile build/flags | writable
	@rm -f $@
	-$(compile)

compile = $(strip $(CC) -pthread $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ \
                  $(filter %.c,$^) $(LDLIBS))
strict  = -g -O2 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror

build/gcc/%:   private CC = gcc
build/gcc/%:   private CFLAGS = $(strict)
build/clang/%: private CC = clang
build/clang/%: private CFLAGS = $(strict)
build/musl/%:  private CC = musl-gcc -static
build/musl/%:  private CFLAGS = $(strict) -Wno-sign-conversion  # CMSG_NXTHDR()
build/asan/%:  private CFLAGS += -fsanitize=address,undefined
build/alone/%: private compile = cd labs/$(@F) && $(CC) -pthread -o ../../$@ *.c

# Other flags than last time: build again.
build/flags: export FLAGS = $(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) $(LDLIBS)
build/flags: FORCE | writable
	@printenv FLAGS | cmp -s - $@ || printenv FLAGS >$@

$(call tap,$(names) $(varied:build/%=%)): build/results/%.tap: build/% FORCE
	@scripts/check.sh $< | tee $@

# What shake and fault load into a lab where only one of its children is meant.
build/chosen.so: scripts/chosen.c build/flags | writable
	-$(CC) -O2 -shared -fPIC -pthread -o $@ $< -ldl

build/results/shake/%.tap: build/% build/chosen.so FORCE
	@scripts/shake.sh $< | tee $@
build/results/fault/%.tap: build/% build/chosen.so FORCE
	@CALL= ERROR= scripts/fault.sh $< | tee $@
build/results/break/%.tap: labs/% FORCE
	@EDIT= scripts/break.sh $< | tee $@

# The tests of the scripts mostly wait, so their files run beside each other.
build/results/tests.tap: $(tests) FORCE
	@rm -f $@.*; printf '%s\n' $(notdir $(tests)) | xargs -P 0 -I TEST sh -c \
	    'exec >$@.TEST 2>&1; echo "# TEST"; exec bats --tap scripts/test/TEST'; \
	    cat $@.* | tee $@

build/results/shellcheck.tap: lint = shellcheck $(scripts)
build/results/shfmt.tap: lint = shfmt -i 4 -ci -d $(scripts)
build/results/clang-format.tap: lint = clang-format -n --Werror \
    $(sources) $(helpers) $(wildcard common/*.h)
build/results/clang-tidy.tap: lint = clang-tidy --quiet $(sources) \
    $(helpers) -- -Wall
$(call tap,$(linters)): build/results/%.tap: FORCE
	@scripts/tap.sh $* $(lint) | tee $@

build/results/user.tap: $(programs) FORCE
	@scripts/as-user.sh $(programs) | tee $@

# This comes last: it would slow down all that runs beside it.
build/results/load.tap: $(programs) FORCE | $(proved) \
                        $(filter-out %/load.tap,$(more))
	@scripts/load.sh $(programs) | tee $@

# A tool that is missing, or a place where one may not write, is said first.

$(results) $(more) $(proved): | writable
$(call tap,tests shellcheck): | tools
$(more): | dev-tools

tools:
	@scripts/setup.sh --check

dev-tools:
	@scripts/setup.sh --dev --check

writable:
	@mkdir -p $(sort $(dir $(programs) $(varied) $(results) $(more) $(proved))) \
	    2>/dev/null && test -w build || { echo "cannot write below" \
	    "$(CURDIR)/build: remove it, or copy the suite to a directory of" \
	    "your own" >&2; exit 1; }
	@test -w "$${TMPDIR:-/tmp}" || { echo "cannot write to TMPDIR," \
	    "$${TMPDIR:-/tmp}: set it to another directory" >&2; exit 1; }
