# events.awk -- turns a log of strace into a table of events
#
# usage: strace -f -y --pidns-translation -s 256 -qq -o \
#            '|awk -f events.awk -f messages.awk >TABLE' PROGRAM
#
# Each line of the table is one event, in the order in which strace saw them.
# Its fields are separated by tabs:
#
#     step    question          the lab asks: 1. Who?
#     said    role    text      the lab printed a line of evidence
#     call    role    text      a system call, in strace's notation, but with a
#                               role in the place of a process id, and an end
#                               (A1, A2) in the place of a socket's inode
#
# A call during which something else happened has two lines: the first ends in
# "...", the second begins with it. What the loader, the C library and lab.h do
# on their own account is left out. messages.awk, which is the other half of
# this program, adds who sent what to whom.
#
# This needs neither -Y of strace nor the peers that -yy asks the kernel for:
# role() is a prctl() in the log, and who is connected to whom can be told from
# the order of the calls.

# ---- The log: its calls, and the lines where each of them begins and ends.

match($0, /^[0-9]+ +/) {
    pid = $1
    line = with_our_pids(substr($0, RLENGTH + 1))
    if (first == "")
        first = pid
    if (line ~ /^(---|\+\+\+) /) {
        note[NR] = line
        pid_at[NR] = pid
    } else if (match(line, /^<\.\.\. [a-z0-9_]+ resumed> */)) {
        finish(unfinished[pid], substr(line, RLENGTH + 1))
    } else if (match(line, /^[a-z0-9_]+\(/)) {
        start(substr(line, 1, RLENGTH - 1), substr(line, RLENGTH + 1))
    }
}

# In a pid namespace a process has another pid than outside of it, where strace
# is. strace writes "2 /* 70 in strace's PID NS */". It cannot do so once the
# process has ended: then 2 is the process that had this pid last.
function with_our_pids(text,    word) {
    while (match(text, /[0-9]+ \/\* [0-9]+ in strace's PID NS \*\//)) {
        split(substr(text, RSTART, RLENGTH), word, " ")
        our_pid[word[1]] = word[3]
        text = substr(text, 1, RSTART - 1) word[3] \
            substr(text, RSTART + RLENGTH)
    }
    text = with_our_pid(text, "^(wait4|kill|pidfd_open)\\([0-9]+")
    text = with_our_pid(text, "[{]pid=[0-9]+")
    if (text ~ /^(<\.\.\. )?wait4/)
        text = with_our_pid(text, " = [0-9]+$")
    return text
}

# The same for the number at the end of what first matches the pattern.
function with_our_pid(text, pattern,    head, inner) {
    if (!match(text, pattern))
        return text
    head = substr(text, 1, RSTART + RLENGTH - 1)
    text = substr(text, RSTART + RLENGTH)
    match(head, /[0-9]+$/)
    inner = substr(head, RSTART)
    if (inner in our_pid)
        head = substr(head, 1, RSTART - 1) our_pid[inner]
    return head text
}

function start(call, rest) {
    begins[NR] = ++calls
    begun[calls] = NR
    ended[calls] = 1e9    # for ever
    pid_of[calls] = pid
    name[calls] = call
    if (sub(/ *<unfinished \.\.\.>$/, "", rest)) {
        sub(/,$/, ", ", rest)
        known[calls] = rest
        args[calls] = rest
        result[calls] = "?"
        unfinished[pid] = calls
    } else {
        finish(calls, rest)
    }
    if (call == "prctl" && rest ~ /^PR_SET_NAME/ && !(pid in first_role))
        first_role[pid] = speaks[pid] ? "" : quoted(rest)
    if (prints(calls))
        speaks[pid] = 1
}

# The call i returns; known[i] is what was known of it when it began.
function finish(i, rest,    child) {
    if (!i)
        return
    rest = known[i] rest
    delete unfinished[pid_of[i]]
    ends[NR] = i
    ended[i] = NR
    result[i] = "?"
    if (match(rest, /.*\) += /)) {
        result[i] = substr(rest, RLENGTH + 1)
        rest = substr(rest, 1, RLENGTH)
        sub(/\) += $/, "", rest)
    }
    args[i] = rest
    if (name[i] ~ /^wait/ && result[i] ~ /^[1-9]/)
        reaped_at[result[i] + 0] = NR
    if (makes_process(i)) {
        child = result[i] + 0
        parent[child] = pid_of[i]
        is_thread[child] = rest ~ /CLONE_THREAD/
    }
}

function makes_process(i) {
    return name[i] ~ /^(clone3?|v?fork)$/ && result[i] ~ /^[1-9]/
}

function succeeds(i) {
    return result[i] ~ /^[0-9]/
}

# A line of the lab, and not a message: it goes to standard output.
function prints(i) {
    return name[i] ~ /^writev?$/ && args[i] ~ /^1[<,]/ &&
        args[i] !~ /^1<(socket|pipe):/
}

# What stands in quotes in a text, one after the other, or only the first.
function quoted(text, all,    found) {
    while (match(text, /"([^"\\]|\\.)*"/)) {
        found = found substr(text, RSTART + 1, RLENGTH - 2)
        text = substr(text, RSTART + RLENGTH)
        if (!all)
            break
    }
    return found
}

# A text as the program has it, where strace has written \n, \" or \0. A byte
# that is no character becomes \001.
function unescaped(text,    plain, c) {
    while (match(text, /\\([0-7][0-7]?[0-7]?|.)/)) {
        c = substr(text, RSTART + 1, RLENGTH - 1)
        plain = plain substr(text, 1, RSTART - 1) \
            (c == "n" ? "\n" : c ~ /["\\]/ ? c : "\001")
        text = substr(text, RSTART + RLENGTH)
    }
    return plain text
}

# ---- Who is connected to whom. This is found out first, because a client may
# write before it is accepted.

# The inode of the socket or pipe that stands first in a text.
function inode_in(text) {
    if (!match(text, /<(socket|pipe):\[[0-9]+\]>/))
        return ""
    text = substr(text, RSTART, RLENGTH)
    gsub(/[^0-9]/, "", text)
    return text
}

# The name of a socket that stands first in a text: a path, or a port.
function address(text) {
    if (!match(text, /sun_path=@?"[^"]*"|port=htons\([1-9][0-9]*\)/))
        return ""
    return substr(text, RSTART, RLENGTH)
}

function connect_ends(    t, i) {
    for (t = 1; t <= NR; t++) {
        if (t in begins)
            look_up(begins[t])
        if (t in ends && succeeds(ends[t]))
            learn(ends[t])
    }
}

# Who has the name that a call mentions, when it begins.
function look_up(i) {
    if (name[i] ~ /^(connect|send(to|msg|mmsg))$/)
        target[i] = owner[address(args[i])]
    if (name[i] == "connect" && type[inode_in(args[i])] != "DGRAM" &&
        (succeeds(i) || result[i] ~ /EINPROGRESS/)) {
        waiting[i] = target[i]
        connects[i] = 1
    }
}

# What a call that succeeds tells, when it returns.
function learn(i,    one, two, rest) {
    one = inode_in(args[i])
    if (name[i] == "socket") {
        type[inode_in(result[i])] = socket_type(args[i])
    } else if (name[i] == "socketpair") {
        rest = args[i]
        sub(/^[^>]*>/, "", rest)
        two = inode_in(rest)
        type[one] = type[two] = socket_type(args[i])
        connection(one, two)
    } else if (name[i] ~ /^accept4?$/) {
        two = inode_in(result[i])
        type[two] = type[one]
        is_accepted[two] = 1
        connection(accepted(i, one), two)
    } else if (name[i] ~ /^(bind|getsockname)$/ && address(args[i]) != "" &&
        !is_accepted[one]) {    # which has the name of its listener
        owner[address(args[i])] = one
    } else if (name[i] ~ /^(rename|link|symlink)(at2?)?$/) {
        one = quoted(args[i])
        two = substr(quoted(args[i], 1), length(one) + 1)
        owner["sun_path=\"" two "\""] = owner["sun_path=\"" one "\""]
    } else if (name[i] == "connect" && type[one] == "DGRAM") {
        peer[one] = target[i]
    }
}

# STREAM, SEQPACKET or DGRAM.
function socket_type(text) {
    match(text, /SOCK_[A-Z]+/)
    return substr(text, RSTART + 5, RLENGTH - 5)
}

function connection(one, two) {
    if (one == "" || two == "")
        return
    peer[one] = two
    peer[two] = one
    is_end[one] = is_end[two] = 1
}

# The socket that is accepted: the one that was connected first. If two were
# being connected at the same time, the log does not tell which that was; nor
# does it tell then of those that are accepted later.
function accepted(accept, listener,    i, oldest, before) {
    before = ended[accept]
    for (i in waiting)
        if (waiting[i] == listener && begun[i] < before &&
            (!oldest || ended[i] < ended[oldest]))
            oldest = i
    for (i in waiting)
        if (waiting[i] == listener && begun[i] < before && i != oldest &&
            begun[i] < ended[oldest])
            in_doubt[listener] = 1
    if (!oldest || in_doubt[listener])
        return ""
    delete waiting[oldest]
    accepts[accept] = oldest
    return inode_in(args[oldest])
}

# ---- The table.

function add(kind, role, text) {
    if (kind ~ /^(said|call)$/)
        lines_of_trace++
    row[++rows] = kind "\t" (role == "" ? "" : role "\t") text
    return rows
}

# The role of a process, or of a thread. It is born with the first one that it
# takes, unless it speaks before. Who takes none speaks as its parent does, and
# the first process as main.
function who(pid) {
    if (pid in role)
        return role[pid]
    if (pid != first && first_role[pid] != "")
        return role[pid] = first_role[pid]
    if (pid in parent)
        return role[pid] = who(parent[pid])
    return "main"
}

function at_begin(i,    pid) {
    pid = pid_of[i]
    who(pid)
    if (prints(i)) {
        print_lines(unescaped(quoted(args[i], 1)), who(pid))
        return
    }
    if (name[i] == "prctl" && args[i] ~ /^PR_SET_NAME/)
        role[pid] = quoted(args[i])
    begin_message(i)
    if (!started || is_noise(i))
        return
    role_then[i] = who(pid)
    shown[i] = add("call", who(pid), written(i, name[i] "(" known[i] \
        (known[i] ~ /(^|, )$/ ? "..." : " ...")))
    lines_then[i] = lines_of_trace
}

function print_lines(text, role,    n, i, line) {
    n = split(text, line, "\n")
    for (i = 1; i <= n; i++) {
        if (line[i] ~ /^[0-9]+\. /) {
            started = 1
            add("step", "", line[i])
        } else if (started && line[i] != "") {
            add("said", role, line[i])
        }
    }
}

# What the call is, now that it has returned. If nothing happened meanwhile, or
# the call is one that does not wait for others, it is one line.
function at_end(i,    text) {
    if (!(i in shown)) {
        end_message(i)
        return
    }
    text = written(i, name[i] "(" args[i] ") = " result[i])
    if (lines_of_trace - lines_then[i] > patience(name[i]))
        add("call", who(pid_of[i]), "... " text)
    else
        row[shown[i]] = "call\t" role_then[i] "\t" text
    end_message(i)
}

# How many other lines may come while a call is under way that is shown as one
# line. A send() often lets a reader go on before it returns.
function patience(name) {
    if (name ~ /^(read|recv|accept|wait|p?poll|p?select|epoll|flock|pause)/)
        return 0
    if (name ~ /^(write|send|connect)/)
        return 1
    return 1e9
}

# What no program of a lab has asked for.
function is_noise(i) {
    return result[i] ~ /ERESTART/ ||
        name[i] ~ /^(brk|munmap|mremap|mprotect|madvise)$/ ||
        (name[i] ~ /^mmap2?$/ && args[i] !~ /<[^>]*memfd:/) ||
        (name[i] == "prlimit64" && args[i] ~ /, NULL, \{/) ||
        name[i] ~ /^(set_|rseq|arch_prctl|getrandom|futex|membarrier|exit$)/ ||
        name[i] ~ /^(rt_sig(action|procmask|return)|alarm|setitimer)$/ ||
        name[i] ~ /^(getp?pid|gettid)$/ ||
        (name[i] == "prctl" && args[i] ~ /^PR_SET_(NAME|PDEATHSIG|VMA)/) ||
        (name[i] ~ /stat|ioctl/ && args[i] ~ /^1[<,]/) ||
        (name[i] ~ /poll$/ && args[i] ~ /, 64, (0|\{tv_sec=0)/) ||
        (name[i] == "waitid" && args[i] ~ /^P_ALL, .*WNOWAIT/) ||
        args[i] ~ /[<"]\/(usr\/)?lib|"\/etc\/ld/
}

# How a call is written in the table.
function written(i, text) {
    text = with_ends(with_short_texts(text))
    if (makes_process(i))
        text = name[i] "(" (is_thread[result[i] + 0] ? "CLONE_THREAD" : "") \
            ") = " result[i]
    if (makes_process(i) || name[i] ~ /^wait/)
        text = with_role(text, " = [1-9][0-9]*")
    if (name[i] ~ /^(wait|kill|tgkill|pidfd_open)/)
        text = with_role(text, "^[a-z0-9_]*\\((P_PID, )?[1-9][0-9]*")
    while (text ~ /pid=[0-9]/)
        text = with_role(text, "pid=[0-9]+")
    gsub(/"lab-[0-9]+/, "\"lab-PID", text)
    gsub(/sa_family=|sun_path=/, "", text)
    gsub(/AT_FDCWD<[^>]*>/, "AT_FDCWD", text)
    gsub(/<anon_inode:/, "<", text)
    text = with_short_paths(text)
    gsub(/0x[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]+/, "...", text)
    if (result[i] ~ /^-1/)
        sub(/ \([A-Z][^()]*\)$/, "", text)
    return text
}

# Without the directory that run.sh made, and the number of a process.
function with_short_paths(text) {
    gsub(/<[^<>"]*\/tmp\.[A-Za-z0-9]+\//, "<", text)
    gsub(/\/proc\/[0-9]+\//, "/proc/PID/", text)
    return text
}

# The text with the role of a process in the place of the number at the end of
# what first matches the pattern.
function with_role(text, pattern,    from, head) {
    if (!match(text, pattern))
        return text
    head = substr(text, 1, RSTART + RLENGTH - 1)
    text = substr(text, RSTART + RLENGTH)
    match(head, /[0-9]+$/)
    from = RSTART
    return substr(head, 1, from - 1) who(substr(head, from)) text
}

function with_short_texts(text,    head, quote) {
    while (match(text, /"([^"\\]|\\.)*"(\.\.\.)?/)) {
        quote = substr(text, RSTART, RLENGTH)
        if (length(quote) > 40) {
            quote = substr(quote, 1, 32)
            sub(/\\[0-7]*$/, "", quote)
            quote = quote "\"..."
        }
        head = head substr(text, 1, RSTART - 1) quote
        text = substr(text, RSTART + RLENGTH)
    }
    return head text
}

function with_ends(text,    at, size) {
    while (match(text, /<(socket|pipe):\[[0-9]+\]>/)) {
        at = RSTART
        size = RLENGTH
        text = substr(text, 1, at - 1) \
            ":" end_name(inode_in(substr(text, at, size))) \
            substr(text, at + size)
    }
    return text
}

# A1 and A2 are the ends of one connection. What has no other end, such as a
# listener, a datagram socket or a pipe, is just a letter.
function end_name(inode,    letter) {
    if (!(inode in named)) {
        if (peer[inode] in named && is_end[inode]) {
            letter = named[peer[inode]]
            sub(/1$/, "2", letter)
            return named[inode] = letter
        }
        letter = sprintf("%c", 65 + letters % 26)
        if (letters >= 26)
            letter = sprintf("%c", 64 + int(letters / 26)) letter
        letters++
        named[inode] = letter (is_end[inode] ? "1" : "")
    }
    return named[inode]
}

# A signal that comes, without what is known of its sender; or that kills.
function tell_signal(pid, text) {
    if (!started || text ~ /SIGCHLD|exited with/)
        return
    sub(/ \{.*\}/, "", text)
    add("call", who(pid), text)
    if (text ~ /killed by/)
        end_process(pid, "killed")
}

END {
    connect_ends()
    for (t = 1; t <= NR; t++) {
        if (t in begins)
            at_begin(begins[t])
        if (t in ends)
            at_end(ends[t])
        if (t in note)
            tell_signal(pid_at[t], note[t])
    }
    for (i = 1; i <= rows; i++)
        print row[i]
}
