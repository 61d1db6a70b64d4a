# study.mk -- the verbs of one who studies
#
# Included by the Makefile, whose names, numbers and number it uses. Each verb
# has a block of its own.

define predict_of
.PHONY: predict-$2
predict-$2: build/$1
	@scripts/study/predict.sh $$< || [ $$$$? = 77 ]
endef
$(foreach name,$(names),\
    $(eval $(call predict_of,$(name),$(call number,$(name)))))

predict-0%: predict-% ;
predict-%:
	@echo "there is no lab $*; the labs are: $(numbers)" >&2; exit 2

.PHONY: progress
progress: | writable
	@scripts/study/progress.sh

.PHONY: find
find:
	@scripts/study/find.sh "$$WHAT"

define mend_of
.PHONY: mend-$2
mend-$2: | writable
	@scripts/study/mend.sh labs/$1 || [ $$$$? = 77 ]
endef
$(foreach name,$(names),$(eval $(call mend_of,$(name),$(call number,$(name)))))

mend-0%: mend-% ;
mend-%:
	@echo "there is no lab $*; the labs are: $(numbers)" >&2; exit 2

# The program that a student has mended, for make shake-5 MENDED=1. If there is
# none, FORCE has the recipe say so.
slug    = $(patsubst $(firstword $(subst -, ,$1))-%,%,$1)
mended := $(names:%=build/mended/%)
$(foreach name,$(names),$(eval build/mended/$(name): \
    $(or $(wildcard work/$(name)/$(call slug,$(name)).c),FORCE)))
$(mended): $(headers) build/flags | writable
	@test -n "$(filter %.c,$^)" || { echo "there is no program in" \
	    "work/$(@F): 'make mend-$(call number,$(@F))' hands it out" >&2; exit 2; }
	@mkdir -p $(@D); rm -f $@
	-$(compile)

# Both are of one run under strace.
define traced
.PHONY: trace-$2 diagram-$2
trace-$2: build/$1
	@scripts/study/trace.sh $$< || [ $$$$? = 77 ]
diagram-$2: build/$1
	@scripts/study/diagram.sh $$< || [ $$$$? = 77 ]
endef
$(foreach name,$(names),$(eval $(call traced,$(name),$(call number,$(name)))))

trace-0%: trace-% ;
diagram-0%: diagram-% ;
trace-% diagram-%:
	@echo "there is no lab $*; the labs are: $(numbers)" >&2; exit 2
