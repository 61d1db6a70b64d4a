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
