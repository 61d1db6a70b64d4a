# messages.awk -- adds to a table of events who sent what, and who received it
#
# usage: awk -f events.awk -f messages.awk
#
# It is the other half of events.awk, which calls begin_message() when a call
# begins and end_message() when it returns. It adds these lines to the table:
#
#     sent    role    id     text    a message or a connection is on its way
#     ends    role    id     text    an end was closed, or a process ended: some
#                                    may see it, but nobody need
#     got     role    ids    text    what was sent with this id, or with these
#                                    ("3,4"), or "" if the log does not tell
#     fails   role    text           a call that would have sent or received
#
# Each socket and each pipe has a queue here, as in the kernel. A message comes
# into the queue when its call begins, because a reader may have it before that
# call returns. Of each process it is known which descriptors it has: when the
# last one of an end is closed, the other end sees end of file.

# ---- What is in a call.

function is_on_queue(i) {
    return args[i] ~ /^[0-9]+<(socket|pipe):\[/ && !prints(i)
}

function sends(i) {
    return name[i] ~ /^(send(to|msg|mmsg)?|writev?)$/ && is_on_queue(i)
}

function receives(i) {
    return name[i] ~ /^(recv(from|msg|mmsg)?|readv?)$/ && is_on_queue(i)
}

# The data of a call, as strace has them.
function data_of(text,    data) {
    if (text !~ /iov_base=/)
        return quoted(text)
    while (match(text, /iov_base="([^"\\]|\\.)*"/)) {
        data = data substr(text, RSTART + 10, RLENGTH - 11)
        text = substr(text, RSTART + RLENGTH)
    }
    return data
}

# The data as a label: the text if it is short, or how much it is.
function label_of(data, size) {
    if (size == 0)
        return "\"\""
    if (unescaped(data) ~ /\001/ || length(unescaped(data)) < size)
        return size (size == 1 ? " byte" : " bytes")
    if (length(data) > 34)
        data = substr(data, 1, 30) "..."
    return "\"" data "\""
}

# The descriptors that travel with a message, as strace has them: "3<a.txt>".
function rights_of(text) {
    if (!match(text, /cmsg_type=SCM_RIGHTS, cmsg_data=\[/))
        return ""
    text = substr(text, RSTART + RLENGTH)
    sub(/\](\}|, cmsg).*/, "", text)
    return text
}

# The same as a label: " + fd a.txt, A1"; or, if they are many, " + 253 fds".
function label_of_rights(rights,    n, part, i, label) {
    n = split(with_ends(with_short_paths(rights)), part, ", ")
    if (n > 3)
        return " + " n " fds"
    for (i = 1; i <= n; i++) {
        gsub(/^[0-9]+:?|[<>]/, "", part[i])
        label = label (i > 1 ? ", " : " + fd ") part[i]
    }
    return label
}

# How much a call would have sent that has failed.
function size_of(i,    text, size) {
    text = args[i]
    if (match(text, /"(\.\.\.)?, [0-9]+/)) {
        text = substr(text, RSTART, RLENGTH)
        sub(/.* /, "", text)
        return text + 0
    }
    for (; match(text, /iov_len=[0-9]+/); text = substr(text, RSTART + RLENGTH))
        size += substr(text, RSTART + 8, RLENGTH - 8)
    return size
}

# The text of an error: EPIPE.
function error_of(i,    word) {
    split(result[i], word, " ")
    return word[2]
}

# The call as a program has it: recv() of 8 bytes is recvfrom() to the kernel.
function as_written(i) {
    if (name[i] == "sendto" && args[i] ~ /, NULL, 0$/)
        return "send"
    if (name[i] == "recvfrom" && args[i] ~ /, NULL, NULL$/)
        return "recv"
    return name[i]
}

# ---- Queues.

function new_id(role) {
    role_of_id[++ids] = role
    return ids
}

# The same for a call or an exit that closes something, and lasts so long.
function new_end(role, from, until) {
    new_id(role)
    closes_from[ids] = from
    closes_until[ids] = until
    return ids
}

# A message of one call; queue is where it goes, if that is known. A stream does
# not take a message of no bytes.
function send_message(i, queue, text, size,    id) {
    id = new_id(who(pid_of[i]))
    text_of[id] = unescaped(data_of(text))
    left[id] = size
    sent_from[id] = begun[i]
    sent_until[id] = ended[i]
    if (size > 0 || type[inode_in(args[i])] != "STREAM") {
        rights_in[id] = rights_of(text)
        hold_rights(rights_in[id], 1)
        if (queue != "")
            message[queue, ++last_in[queue]] = id
    }
    tell("sent", who(pid_of[i]), id, \
        label_of(data_of(text), size) label_of_rights(rights_of(text)))
}

# The ids of those messages in a queue of which a call has received that many
# bytes, with commas between them. They are taken out, unless they stay there.
# Where two were sending at the same time, the data tell whose message came
# first. If they do not, the log does not tell: "".
function take(queue, text, size, stays, before,    k, id, found, part, doubt) {
    for (k = first_in[queue] + 1; k <= last_in[queue]; k++) {
        id = message[queue, k]
        if (id in taken || sent_from[id] > before || !agree(id, text))
            continue
        if (rival(queue, k, text, before))
            doubt = 1
        found = found (found == "" ? "" : ",") id
        if (type[queue] != "STREAM") {
            if (!stays)
                use(id, left[id])
            break
        }
        part = left[id] > size ? size : left[id]
        if (!stays)
            use(id, part)
        size -= part
        text = substr(text, part + 1)
        if (size <= 0)
            break
    }
    while (message[queue, first_in[queue] + 1] in taken)
        first_in[queue]++
    return doubt ? "" : found
}

# May the text begin with this message?
function agree(id, text,    n) {
    n = length(text) < length(text_of[id]) ? length(text) : length(text_of[id])
    return substr(text, 1, n) == substr(text_of[id], 1, n)
}

# Is there another message in the queue that may have come before this one?
function rival(queue, k, text, before,    id, other) {
    id = message[queue, k]
    while (++k <= last_in[queue]) {
        other = message[queue, k]
        if (!(other in taken) && sent_from[other] < before &&
            sent_from[other] < sent_until[id] && agree(other, text) &&
            role_of_id[other] != role_of_id[id])
            return 1
    }
    return 0
}

# So many bytes of a message are received.
function use(id, part) {
    left[id] -= part
    text_of[id] = substr(text_of[id], part + 1)
    if (left[id] <= 0) {
        taken[id] = 1
        hold_rights(rights_in[id], -1)
    }
}

# A descriptor that travels keeps its socket open, as those of a process do.
function hold_rights(rights, how_many,    n, part, i) {
    n = split(rights, part, ", ")
    for (i = 1; i <= n; i++)
        if (inode_in(part[i]) != "")
            holders[inode_in(part[i])] += how_many
}

# ---- Descriptors.

function process_of(pid) {
    while (is_thread[pid])
        pid = parent[pid]
    return pid
}

function set_descriptor(process, fd, inode, closes_on_exec) {
    drop_descriptor(process, fd, 0)
    inode_of[process, fd] = inode
    cloexec[process, fd] = closes_on_exec
    holders[inode]++
}

# The descriptor is closed by what the id is of; by nothing that is shown if 0.
function drop_descriptor(process, fd, id,    inode) {
    if (!((process, fd) in inode_of))
        return
    inode = inode_of[process, fd]
    delete inode_of[process, fd]
    if (id)
        closed_by[inode] = closed_by[inode] "," id
    if (--holders[inode] == 0 && id && is_end[inode])
        note_end(peer[inode], last_closers(inode, id))
}

# The other end sees end of file because of the last one who closed a copy.
# Those who were closing one at the same time may have been the last, too.
function last_closers(inode, id,    n, part, k, found) {
    n = split(substr(closed_by[inode], 2), part, ",")
    for (k = 1; k < n; k++)
        if (part[k] != part[k + 1] && closes_until[part[k]] > closes_from[id])
            found = found part[k] ","
    return found id
}

# What comes first is what the queue sees.
function note_end(queue, ids) {
    if (end_of_file[queue] == "")
        end_of_file[queue] = ids
}

# Each descriptor that a text mentions, such as 3<socket:[81]>, is now one of
# the process.
function set_descriptors(process, text, closes_on_exec,    at, size, part) {
    while (match(text, /[0-9]+<(socket|pipe):\[[0-9]+\]>/)) {
        at = RSTART
        size = RLENGTH
        part = substr(text, at, size)
        set_descriptor(process, part + 0, inode_in(part), closes_on_exec)
        text = substr(text, at + size)
    }
}

function copy_descriptors(from, to,    key, part) {
    for (key in inode_of) {
        split(key, part, SUBSEP)
        if (part[1] == from)
            copied[part[2]] = key
    }
    for (key in copied) {
        set_descriptor(to, key, inode_of[copied[key]], cloexec[copied[key]])
        delete copied[key]
    }
}

# All of a process, or those that an exec closes.
function drop_descriptors(process, id, only_on_exec,    key, part) {
    for (key in inode_of) {
        split(key, part, SUBSEP)
        if (part[1] == process && (!only_on_exec || cloexec[key]))
            dropped[part[2]] = 1
    }
    for (key in dropped) {
        drop_descriptor(process, key, id)
        delete dropped[key]
    }
}

# ---- Events.

function tell(kind, role, id, text) {
    if (started)
        add(kind, role, (kind == "fails" ? "" : id "\t") text)
}

# The process ends: its descriptors are closed, and its parent can wait for it.
function end_process(pid, text) {
    pid = process_of(pid)
    if (pid in end_of_process)
        return
    end_of_process[pid] = new_end(who(pid), t, \
        pid in reaped_at ? reaped_at[pid] : 1e9)
    tell("ends", who(pid), end_of_process[pid], text)
    drop_descriptors(pid, end_of_process[pid], 0)
}

# What a call does when it begins: it is known whether it will succeed.
function begin_message(i,    pid) {
    pid = pid_of[i]
    if (makes_process(i) && !is_thread[result[i] + 0])
        copy_descriptors(process_of(pid), result[i] + 0)
    else if (sends(i) && succeeds(i))
        send_messages(i)
    else if (i in connects)
        begin_connection(i)
    else if (name[i] == "shutdown" && succeeds(i))
        shut_down(i, inode_in(args[i]))
    else if (name[i] == "close" && inode_in(args[i]) != "")
        close_descriptor(i)
    else if (name[i] == "exit_group")
        end_process(pid, "exit")
    else if (name[i] == "kill" && args[i] ~ /SIGKILL/ &&
        (args[i] + 0) in parent)
        end_process(args[i] + 0, "killed")
}

# Those of sendmmsg() begin with msg_hdr=, and are as long as their msg_len.
function send_messages(i,    queue, n, k, part) {
    queue = inode_in(args[i])
    if (args[i] ~ /^[0-9]+<socket/)
        queue = target[i] != "" ? target[i] : peer[queue]
    if (name[i] != "sendmmsg") {
        send_message(i, queue, args[i], result[i] + 0)
        return
    }
    n = split(args[i], part, "msg_hdr=")
    for (k = 2; k <= n && k <= result[i] + 1; k++)
        send_message(i, queue, part[k], number_after(part[k], "msg_len="))
}

function number_after(text, mark) {
    return substr(text, index(text, mark) + length(mark)) + 0
}

function begin_connection(i) {
    connects[i] = new_id(who(pid_of[i]))
    tell("sent", who(pid_of[i]), connects[i], \
        "connect(" short_address(args[i]) ")")
}

# The name of a socket: "server.sock", or a port, whose number varies.
function short_address(text) {
    text = address(text)
    sub(/^sun_path=/, "", text)
    sub(/^port.*/, "a port", text)
    gsub(/"lab-[0-9]+/, "\"lab-PID", text)
    return text
}

function shut_down(i, queue,    id) {
    id = new_id(who(pid_of[i]))
    tell("ends", who(pid_of[i]), id, \
        "shutdown(" substr(args[i], index(args[i], "SHUT_")) ")")
    if (args[i] !~ /SHUT_RD$/ && is_end[queue])
        note_end(peer[queue], id)
    if (args[i] !~ /SHUT_WR$/)
        note_end(queue, id)
}

function close_descriptor(i,    id) {
    id = new_end(who(pid_of[i]), begun[i], ended[i])
    tell("ends", who(pid_of[i]), id, "close()")
    drop_descriptor(process_of(pid_of[i]), args[i] + 0, id)
}

# What a call has done when it returns.
function end_message(i,    role) {
    note_descriptors(i, process_of(pid_of[i]))
    role = who(pid_of[i])
    if (receives(i) && succeeds(i))
        receive_messages(i)
    else if (receives(i) && result[i] ~ /ECONNRESET/)
        tell("got", role, end_of_file[inode_in(args[i])], \
            as_written(i) "() = ECONNRESET")
    else if (name[i] ~ /^accept4?$/ && succeeds(i))
        tell("got", role, connects[accepts[i]], "accept()")
    else if (name[i] ~ /^wait/ && (result[i] + 0) in end_of_process)
        tell("got", role, end_of_process[result[i] + 0], "wait()")
    else if (result[i] ~ /^-1 / && result[i] !~ /ERESTART|EINPROGRESS/)
        tell_failure(i, role)
}

# The descriptors that a process has got by a call, or that an exec has closed.
function note_descriptors(i, process) {
    if (name[i] == "fcntl" && args[i] ~ /F_SETFD/)
        cloexec[process, args[i] + 0] = args[i] ~ /FD_CLOEXEC/
    if (!succeeds(i))
        return
    if (name[i] ~ /^(socket(pair)?|accept4?|pipe2?|dup[23]?|fcntl|recvm?msg)$/)
        set_descriptors(process, args[i] " " result[i], args[i] ~ /CLOEXEC/)
    if (name[i] ~ /^execve/)
        drop_descriptors(process, 0, 1)
}

function tell_failure(i, role,    what) {
    if (sends(i))
        what = label_of(data_of(args[i]), size_of(i))
    else if (name[i] == "connect")
        what = short_address(args[i])
    else if (!receives(i) && name[i] !~ /^accept/)
        return
    tell("fails", role, "", as_written(i) "(" what ") = " error_of(i))
}

function receive_messages(i,    n, k, part) {
    if (name[i] != "recvmmsg") {
        receive_message(i, args[i], result[i] + 0)
        return
    }
    n = split(args[i], part, "msg_hdr=")
    for (k = 2; k <= n && k <= result[i] + 1; k++)
        receive_message(i, part[k], number_after(part[k], "msg_len="))
}

# A message of one call: found are the ids of what it is, or of what has brought
# end of file.
function receive_message(i, text, size,    queue, found, label) {
    queue = inode_in(args[i])
    label = label_of(data_of(text), size) label_of_rights(rights_of(text))
    found = take(queue, unescaped(data_of(text)), size, \
        args[i] ~ /MSG_PEEK/, ended[i])
    if (size == 0 && found == "") {
        found = end_of_file[queue]
        label = found != "" ? "end of file" : as_written(i) "() = 0"
    } else if (args[i] ~ /MSG_PEEK/) {
        label = label " (MSG_PEEK)"
    }
    tell("got", who(pid_of[i]), found, label)
}
