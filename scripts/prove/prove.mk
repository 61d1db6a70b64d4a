# prove.mk -- the verbs that prove a lab, and everything together
#
# Included by the Makefile, whose names, programs, headers and compile it uses.

proofs   := shake fault break
variants := gcc clang musl asan alone
varied   := $(foreach variant,$(variants),$(names:%=build/$(variant)/%))
linters  := shellcheck shfmt clang-format clang-tidy

given    := $(filter command,$(origin CALL) $(origin ERROR) $(origin EDIT) \
              $(origin MENDED))
ifneq ($(and $(given),$(filter $(proofs),$(MAKECMDGOALS))),)
    $(error CALL, ERROR, EDIT and MENDED are for one lab: make shake-5 MENDED=1)
endif

.PHONY: $(proofs) lint check-all check-kernels dev-tools

# For one lab they run on their own, live.
define proofs_of
.PHONY: shake-$2 fault-$2 break-$2
shake-$2: $(if $(MENDED),build/mended/$1,build/$1) build/chosen.so
	@scripts/prove/shake.sh $$< || [ $$$$? = 77 ]
fault-$2: build/$1 build/chosen.so
	@scripts/prove/fault.sh $$< || [ $$$$? = 77 ]
break-$2: | writable
	@scripts/prove/break.sh labs/$1 || [ $$$$? = 77 ]
endef
$(foreach name,$(names),$(eval $(call proofs_of,$(name),$(call number,$(name)))))

shake-0%: shake-% ;
fault-0%: fault-% ;
break-0%: break-% ;
shake-% fault-% break-%:
	@echo "there is no lab $*; the labs are: $(numbers)" >&2; exit 2

$(proofs): build/chosen.so $(programs) | tools
	@scripts/judge.sh $(names:%=$@/%)

# What shake and fault load into a lab where only one of its children is meant.
build/chosen.so: scripts/prove/chosen.c build/flags | writable
	-$(CC) -O2 -shared -fPIC -pthread -o $@ $< -ldl

lint: dev-tools
	@scripts/judge.sh $(linters:%=lint/%)

dev-tools:
	@scripts/setup.sh --dev --check

# Each lab as other compilers build it, and as somebody does in its directory.
strict = -g -O2 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
build/gcc/%:   private CC = gcc
build/gcc/%:   private CFLAGS = $(strict)
build/clang/%: private CC = clang
build/clang/%: private CFLAGS = $(strict)
build/musl/%:  private CC = musl-gcc -static
build/musl/%:  private CFLAGS = $(strict) -Wno-sign-conversion  # CMSG_NXTHDR()
build/asan/%:  private CFLAGS += -fsanitize=address,undefined
build/alone/%: private compile = cd labs/$(@F) && $(CC) -pthread -o ../../$@ *.c
$(foreach name,$(names),$(foreach variant,$(variants),\
    $(eval build/$(variant)/$(name): $(wildcard labs/$(name)/*.c))))
$(varied): $(headers) Makefile scripts/prove/prove.mk build/flags | writable
	@mkdir -p $(@D); rm -f $@
	-$(compile)

# Of each lab's delays and failures this tries twenty, evenly chosen; 'make shake
# fault' tries them all, which may take an hour. Under load comes last, and
# alone: it would slow down all that runs beside it.
check-all: | dev-tools writable
	@$(MAKE) --no-print-directory -s -j$$(nproc) $(programs) $(varied) \
	    build/chosen.so
	@MOST=20 RUNS=20 scripts/judge.sh $(foreach proof,$(proofs),$(names:%=$(proof)/%)) \
	    $(names:%=check/%) $(varied:build/%=%) $(script_tests) \
	    $(linters:%=lint/%) as-user/all -- load/all

# Each lab under older kernels, in qemu: of Debian 11, 12 and 13, or those named.
KERNELS = bullseye bookworm trixie
check-kernels: | writable
	@$(MAKE) --no-print-directory -s -j$$(nproc) $(names:%=build/musl/%)
	@status=0; for kernel in $(KERNELS); do scripts/prove/kernels.sh \
	    "$$kernel" $(names:%=build/musl/%) || status=1; done; exit $$status
