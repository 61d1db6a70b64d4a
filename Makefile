# Makefile -- the verbs of the suite
#
#   Study     make lab-5         build and run lab 5, live, and compare its
#                                output with expected/
#             make lab-5 STEP=3  the same, and show one step
#             make labs          all labs, one after the other
#             make predict-5     write down what it will print, then compare
#                                ORDER=1: put the lines of each step in order
#             make mend-5        find the fault in a program, and mend it
#                                HINT=1, 2, 3: help; AGAIN=1: another fault
#             make find WHAT=EPIPE  where is it seen, and what explains it?
#             make trace-5       which system calls does it make, and who does?
#             make diagram-5     who sends what to whom, in which order?
#             make progress      what is predicted and mended, and what is next
#   Class     LAB_PAUSE=1 make lab-5     wait for Enter after each question
#             LAB_PAUSE=line make lab-5  and after each line of evidence
#   Judge     make check-5       is the output of lab 5 as expected?
#             make check         is that of every lab, and do the pages fit?
#   Prove     make shake-5       is it the same whichever call is delayed?
#                                MENDED=1: of the program that you mended
#             make fault-5       does it survive the failure of any call?
#                                CALL=send ERROR=EPIPE: of this one, live
#             make break-5       does each edit of its "Break it" break it?
#                                EDIT=2: what does this one do?
#             make check-all     everything: also the tests of the scripts, the
#                                linters, other compilers, an ordinary user
#   Measure   make bench         what does a message cost? QUICK=1: in short
#   Maintain  make accept-5      what lab 5 prints now is what is expected
#             make check-kernels is it the same under older kernels? (qemu)
#             make check-scripts make lint make moved
#             make clean         remove build/

CFLAGS = -g -O2 -Wall -Wextra

# Of a locale that is not installed bash complains wherever it starts, as if the
# lab did; with a CDPATH, cd prints where it went.
export LC_ALL = C
unexport CDPATH

# Arch keeps prove here, and only a login shell has it in its PATH.
export PATH := $(PATH):/usr/bin/core_perl

names    := $(sort $(notdir $(wildcard labs/[0-9][0-9]-*)))
number    = $(patsubst 0%,%,$(firstword $(subst -, ,$1)))
numbers  := $(foreach name,$(names),$(call number,$(name)))
programs := $(names:%=build/%)
headers  := $(wildcard common/*.h)

.DELETE_ON_ERROR:
.PHONY: help labs check clean tools writable moved FORCE

help:
	@sed -n 's/^#   /  /p' Makefile
	@echo; echo '  The labs are in README.md.'

# The verbs of one lab: $1 is 05-seqpacket-vs-stream, $2 is 5. A lab that is
# skipped (77) is no error of make.
define verbs
.PHONY: lab-$2 check-$2 accept-$2
lab-$2: build/$1
	@scripts/check.sh --live $$< || [ $$$$? = 77 ]
check-$2: build/$1 | tools
	@scripts/judge.sh check/$1
accept-$2: build/$1
	@scripts/accept.sh $$<
endef
$(foreach name,$(names),$(eval $(call verbs,$(name),$(call number,$(name)))))

lab-0%: lab-% ;
check-0%: check-% ;
accept-0%: accept-% ;
lab-% check-% accept-%:
	@echo "there is no lab $*; the labs are: $(numbers)" >&2; exit 2

labs: $(programs)
	@status=0; for lab in $^; do echo "# $${lab#build/}"; \
	    scripts/check.sh --live $$lab || [ $$? = 77 ] || status=1; echo; done; \
	    exit $$status

# The labs are built beside each other, whatever make was told.
check: | tools writable
	@$(MAKE) --no-print-directory -s -j$$(nproc) $(programs)
	@scripts/judge.sh test/labs.bats $(names:%=check/%)

# A lab is one C file, and common/. One that does not compile is a failed check
# and not the end of make: check.sh finds no program, and says so.
$(foreach name,$(names),$(eval build/$(name): $(wildcard labs/$(name)/*.c)))
$(programs): $(headers) Makefile build/flags | writable
	@rm -f $@
	-$(compile)

compile = $(strip $(CC) -pthread $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ \
                  $(filter %.c,$^) $(LDLIBS))

# Other flags than last time: build again.
build/flags: export FLAGS = $(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) $(LDLIBS)
build/flags: FORCE | writable
	@printenv FLAGS | cmp -s - $@ || printenv FLAGS >$@

# A tool that is missing, or a place where one may not write, is said first.
tools:
	@scripts/setup.sh --check

writable:
	@mkdir -p build 2>/dev/null && test -w build || { echo "cannot write" \
	    "below $(CURDIR)/build: copy the suite to a directory of your own," \
	    "and chmod -R u+w it there" >&2; exit 1; }
	@test -w "$${TMPDIR:-/tmp}" || { echo "cannot write to TMPDIR," \
	    "$${TMPDIR:-/tmp}: set it to another directory" >&2; exit 1; }

# After a lab was moved to another number: what else names it by the old one.
moved:
	@scripts/test/moved.sh

clean:
	rm -rf build

include $(wildcard scripts/*/*.mk)
