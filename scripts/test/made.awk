# made.awk -- was each call that a line of evidence names made in its step?
#
# usage: make -s trace-5 | awk -f made.awk PROGRAM.c -
#
# Prints each line that names a call which the trace of this step does not have,
# and which is not a function of the program itself either. What happens inside
# of the C library (pthread_join, snprintf), and what a trace leaves out as its
# business (munmap), leaves no call that one can look for.

BEGIN {
    split("recv recvfrom send sendto fork clone waitpid wait4 exit exit_group " \
        "_exit exit_group sigwait rt_sigtimedwait setrlimit prlimit64 stat newfstatat " \
        "lstat newfstatat fstat newfstatat execv execve execvp execve", pair, " ")
    for (i = 1; i in pair; i += 2)
        other_name[pair[i]] = pair[i + 1]
}

# The functions that the program defines.
FNR == NR {
    if (match($0, /^[a-z].*[ *][a-z_0-9]+\(/)) {
        sub(/\(.*/, "")
        sub(/.*[ *]/, "")
        own[$0]
    }
    next
}

/^[0-9]+\. / {
    look()
    step = $1
    next
}

/^    / {
    if (match($0, /^    +[^ ].*  +(\.\.\. )?[a-z0-9_]+\(/) ||
        match($0, /^    +[^ ]+ +(\.\.\. )?[a-z0-9_]+\(/)) {
        call = substr($0, 1, RLENGTH - 1)
        sub(/.* /, "", call)
        made[call]
    }
    next
}

{
    text = $0
    gsub(/"[^"]*"/, "", text)
    while (match(text, /[a-z_][a-z0-9_]*\(/)) {
        line[++lines] = $0
        named[lines] = substr(text, RSTART, RLENGTH - 1)
        text = substr(text, RSTART + RLENGTH)
    }
}

# openat and openat2 are open, ppoll is poll, fchmodat is chmod.
function was_made(name,    call) {
    if (name in own || name ~ /^(pthread_|(getpid|snprintf|munmap|mprotect)$)/)
        return 1
    for (call in made)
        if (call == other_name[name] || call ~ "^[pf]?" name "(at2?|64|[1-4])?$")
            return 1
    return 0
}

function look(    i) {
    for (i = 1; i <= lines; i++)
        if (!was_made(named[i]))
            print "step " step " no " named[i] "() was made for: " line[i]
    lines = 0
    delete made
}

END {
    look()
}
