# bench.mk -- make bench, and the program that measures for it

.PHONY: bench

bench: build/engine
	@scripts/bench/bench.sh $<

build/engine: scripts/bench/engine.c $(wildcard common/*.h) build/flags \
              | writable
	@rm -f $@
	$(compile)
