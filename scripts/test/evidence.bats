#!/usr/bin/env bats
# evidence.bats -- is there a call behind each line that names one?

# shellcheck disable=SC2154 # box, origin and output: helper.bash and bats
load helper

# Prints the lines of lab $1 that name a call which nobody made in that step.
without_call() {
    local name=$1
    make -s "trace-$((10#${name%%-*}))" >"$box/trace" || {
        tail -n 3 "$box/trace"
        return
    }
    awk -f "$origin/scripts/test/made.awk" "labs/$name/${name#*-}.c" "$box/trace"
}

@test "a line that names a call which was not made is found" {
    needs_strace
    plant 'step("Who?"); int fd = CHECK(dup(0)); say("dup(0) = %d", fd > 0);
           CHECK(close(fd)); say("close(fd) = 0");
           step("And now?"); say("close(fd) = 0");' \
        $'1. Who?\nmain      dup(0) = 1\nmain      close(fd) = 0\n
2. And now?\nmain      close(fd) = 0'
    passes without_call 90-planted
    [[ $output == 'step 2. no close() was made for: main      close(fd) = 0' ]]
}

@test "each line of each lab that names a call has one behind it" {
    needs_strace
    cp -R "$origin/labs" "$origin/expected" .
    local skipped=()
    for lab in labs/*/; do
        found=$(without_call "$(basename "$lab")")
        if [[ $found == skipped* ]]; then
            skipped+=("$found")
        elif [[ -n $found ]]; then
            echo "$lab: $found"
            return 1
        fi
    done
    ((${#skipped[@]} == 0)) || skip "${skipped[*]}"
}
