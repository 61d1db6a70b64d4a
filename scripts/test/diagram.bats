#!/usr/bin/env bats
# diagram.bats -- does each arrow lead from who sent to who received, or nowhere?

# shellcheck disable=SC2154 # origin, box and output: helper.bash and bats
load helper

# The table of a log that comes in on standard input, after the question of step
# 1. In the log, A and B are the ends of a pair, L is a listener.
events() {
    {
        printf '%s\n' '70 write(1</tmp/out>, "1. Who?\n", 8) = 8'
        sed 's/\([0-9]\)=A/\1<socket:[81]>/g; s/\([0-9]\)=B/\1<socket:[82]>/g
            s/\([0-9]\)=L/\1<socket:[83]>/g'
    } | awk -f scripts/study/events.awk -f scripts/study/messages.awk
}

# The diagram of such a log, without its question and the heads of its columns.
drawn() {
    events >"$box/table"
    awk -f scripts/study/diagram.awk "$box/table" "$box/table" |
        sed '1,4d'
}

# Two processes, ann and bob, each with a socket of a pair of that type.
pair() {
    cat <<END
70 socketpair(AF_UNIX, SOCK_$1, 0, [3=A, 4=B]) = 0
70 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD) = 71
70 prctl(PR_SET_NAME, "ann") = 0
71 prctl(PR_SET_NAME, "bob") = 0
70 close(4=B) = 0
71 close(3=A) = 0
END
}

@test "what is received at once is an arrow; what waits has a number" {
    diff <({
        pair STREAM
        cat <<'END'
71 read(4=B,  <unfinished ...>
70 write(3=A, "one", 3 <unfinished ...>
71 <... read resumed>"one", 64) = 3
70 <... write resumed>) = 3
70 write(3=A, "two", 3) = 3
71 write(4=B, "yes", 3) = 3
71 read(4=B, "two", 64) = 3
70 read(3=A, "yes", 64) = 3
END
    } | drawn) - <<'END'
      |-------------->|   "one"
      |--------->[1]  |   "two"
      |  [2]<---------|   "yes"
      |          [1]->|   "two"
      |<-[2]          |   "yes"
END
}

@test "a stream forgets where a message ended, and SEQPACKET does not" {
    messages() {
        pair "$1"
        cat <<'END'
70 sendto(3=A, "one", 3, 0, NULL, 0) = 3
70 sendto(3=A, "two", 3, 0, NULL, 0) = 3
71 recvfrom(4=B, "on", 2, MSG_PEEK, NULL, NULL) = 2
END
    }
    diff <({
        messages STREAM
        echo '71 recvfrom(4=B, "onet", 4, 0, NULL, NULL) = 4'
        echo '71 recvfrom(4=B, "wo", 4, 0, NULL, NULL) = 2'
    } | drawn | tail -n 3) - <<'END'
      |          [1]->|   "on" (MSG_PEEK)
      |        [1-2]->|   "onet"
      |          [2]->|   "wo"
END
    diff <({
        messages SEQPACKET
        echo '71 recvfrom(4=B, "on", 2, 0, NULL, NULL) = 2'
        echo '71 recvfrom(4=B, "tw", 2, 0, NULL, NULL) = 2'
    } | drawn | tail -n 3) - <<'END'
      |          [1]->|   "on" (MSG_PEEK)
      |          [1]->|   "on"
      |          [2]->|   "tw"
END
}

@test "end of file comes from who closes the last copy, and to all who read" {
    diff <({
        pair STREAM
        cat <<'END'
70 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD) = 72
72 prctl(PR_SET_NAME, "eve") = 0
70 close(3=A) = 0
72 exit_group(0) = ?
71 read(4=B, "", 64) = 0
71 read(4=B, "", 64) = 0
END
    } | drawn) - <<'END'
      |--------->[1]  |   exit
      |          [1]->|   2 x end of file
END
}

@test "if somebody else has a copy, end of file has come from nowhere" {
    diff <({
        pair STREAM
        cat <<'END'
72 sendmsg(9<socket:[90]>, {msg_iov=[{iov_base="x", iov_len=1}], msg_iovlen=1, msg_control=[{cmsg_len=20, cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=[3=A]}], msg_controllen=24, msg_flags=0}, 0) = 1
70 close(3=A) = 0
71 read(4=B, "", 64) = 0
END
    } | drawn | tail -n 1) - <<'END'
      |          [?]->|      read() = 0
END
    {
        pair STREAM
        echo '70 dup(3=A) = 5=A'
        echo '70 shutdown(3=A, SHUT_WR) = 0'
        echo '71 read(4=B, "", 64) = 0'
    } | drawn | grep -qxF '      |-------------->|   shutdown(SHUT_WR) -> end of file'
}

@test "a client is refused, waits in the queue, and is accepted" {
    diff <(
        drawn <<'END'
70 socket(AF_UNIX, SOCK_STREAM, 0) = 3=L
71 socket(AF_UNIX, SOCK_STREAM, 0) = 4<socket:[84]>
70 prctl(PR_SET_NAME, "server") = 0
71 prctl(PR_SET_NAME, "ann") = 0
71 connect(4<socket:[84]>, {sa_family=AF_UNIX, sun_path="s"}, 110) = -1 ENOENT (No such file or directory)
70 bind(3=L, {sa_family=AF_UNIX, sun_path="s"}, 110) = 0
71 connect(4<socket:[84]>, {sa_family=AF_UNIX, sun_path="s"}, 110) = -1 ECONNREFUSED (Connection refused)
71 connect(4<socket:[84]>, {sa_family=AF_UNIX, sun_path="s"}, 110) = 0
71 write(4<socket:[84]>, "hello", 5) = 5
70 accept(3=L, NULL, NULL) = 5<socket:[85]>
70 getsockname(5<socket:[85]>, {sa_family=AF_UNIX, sun_path="s"}, [110 => 4]) = 0
70 read(5<socket:[85]>, "hello", 64) = 5
71 connect(6<socket:[86]>, {sa_family=AF_UNIX, sun_path="s"}, 110) = 0
70 accept(3=L, NULL, NULL) = 7<socket:[87]>
END
    ) - <<'END'
      x               |   connect("s") = ENOENT
      x               |   connect("s") = ECONNREFUSED
      |--------->[1]  |   connect("s")
      |--------->[2]  |   "hello"
      |          [1]->|   accept()
      |          [2]->|   "hello"
      |-------------->|   connect("s") -> accept()
END
}

@test "datagrams go by name; a name that is moved takes them along" {
    diff <(
        drawn <<'END'
70 socket(AF_UNIX, SOCK_DGRAM, 0) = 3=A
71 socket(AF_UNIX, SOCK_DGRAM, 0) = 4=B
70 prctl(PR_SET_NAME, "server") = 0
71 prctl(PR_SET_NAME, "ann") = 0
70 bind(3=A, {sa_family=AF_UNIX, sun_path="s"}, 110) = 0
70 rename("s", "t") = 0
71 sendto(4=B, "tea", 3, 0, {sa_family=AF_UNIX, sun_path="t"}, 110) = 3
70 recvfrom(3=A, "te", 2, 0, NULL, NULL) = 2
71 sendto(4=B, "", 0, 0, {sa_family=AF_UNIX, sun_path="t"}, 110) = 0
70 recvfrom(3=A, "", 64, 0, NULL, NULL) = 0
71 sendto(4=B, "lost", 4, 0, {sa_family=AF_UNIX, sun_path="u"}, 110) = 4
END
    ) - <<'END'
      |-------------->|   "tea" -> "te"
      |-------------->|   ""
      |->[1]          |   "lost"
END
}

@test "a descriptor travels, and its socket stays open on the way" {
    diff <({
        pair STREAM
        cat <<'END'
70 socketpair(AF_UNIX, SOCK_STREAM, 0, [5<socket:[91]>, 6<socket:[92]>]) = 0
70 sendmsg(3=A, {msg_iov=[{iov_base="x", iov_len=1}], msg_control=[{cmsg_len=24, cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=[5<socket:[91]>, 7</tmp/tmp.AbC/a.txt>]}], msg_flags=0}, 0) = 1
70 close(5<socket:[91]>) = 0
71 recvmsg(4=B, {msg_iov=[{iov_base="x", iov_len=1}], msg_control=[{cmsg_len=24, cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=[8<socket:[91]>, 9</tmp/tmp.AbC/a.txt>]}], msg_flags=0}, 0) = 1
71 close(8<socket:[91]>) = 0
70 read(6<socket:[92]>, "", 64) = 0
END
    } | drawn) - <<'END'
      |-------------->|   "x" + fd B1, a.txt
      |<--------------|   close() -> end of file
END
}

@test "of two who send at the same time, the data tell who; or nothing does" {
    at_once() {
        pair SEQPACKET
        echo '70 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD) = 72'
        echo '72 prctl(PR_SET_NAME, "eve") = 0'
        echo "72 sendto(3=A, \"$1\", 3, 0, NULL, 0 <unfinished ...>"
        echo "70 sendto(3=A, \"$2\", 3, 0, NULL, 0) = 3"
        echo '72 <... sendto resumed>) = 3'
        echo '71 recvfrom(4=B, "two", 64, 0, NULL, NULL) = 3'
    }
    diff <(at_once one two | drawn) - <<'END'
      |->[1]      |           |   "one"
      |           |---------->|   "two"
END
    at_once two two | drawn | grep -F '[?]->|'
}

@test "what comes again and again is shown once, with its number" {
    diff <({
        pair STREAM
        for _ in {1..9}; do
            echo '70 write(3=A, "ping", 4) = 4'
            echo '71 read(4=B, "ping", 4) = 4'
            echo '71 write(4=B, "pong", 4) = 4'
            echo '70 read(3=A, "pong", 4) = 4'
        done
        for _ in {1..7}; do
            printf '%s\n' '70 write(3=A, "\0\0", 2) = 2'
        done
        printf '%s\n' '71 read(4=B, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 99) = 14'
        printf '%s\n' '70 write(3=A, "\1\0"..., 500) = -1 EAGAIN (Resource)'
    } | drawn) - <<'END'
      |-------------->|   "ping"
      |<--------------|   "pong"
      |               |   (9 x these 2)
      |------->[1-7]  |   7 x 2 bytes
      |        [1-7]->|   14 bytes
      x               |   write(500 bytes) = EAGAIN
END
}

@test "eight roles with long names, and long texts, fit in 80 columns" {
    local i text
    text=$(printf 'word %.0s' {1..40})
    {
        pair SEQPACKET
        for i in {1..8}; do
            echo "9$i prctl(PR_SET_NAME, \"worker-$i\") = 0"
            echo "9$i write(3=A, \"$text\", 200) = 200"
            echo "71 read(4=B, \"$text\", 200) = 200"
        done
    } | drawn >"$box/shown"
    [[ $(grep -c '"word' "$box/shown") == 8 ]]
    fails grep -E '.{81}' "$box/shown"
}

# Lab 90 is the real lab $1.
use_lab() {
    mkdir -p labs/90-planted
    cp "$origin/labs/$1-"*/*.c labs/90-planted/planted.c
    cp "$origin/expected/$1-"*.txt expected/90-planted.txt
}

@test "if two close the last copies at the same time, it may be either" {
    {
        pair STREAM
        cat <<'END'
72 prctl(PR_SET_NAME, "eve") = 0
70 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD) = 72
72 exit_group(0) = ?
70 close(3=A) = 0
70 wait4(72, [{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 72
71 read(4=B, "", 64) = 0
END
    } | events | grep -qx $'got\tbob\t[0-9]*,[0-9]*\tend of file'
    {
        pair STREAM
        cat <<'END'
70 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD) = 72
72 exit_group(0) = ?
70 wait4(72, [{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 72
70 close(3=A) = 0
71 read(4=B, "", 64) = 0
END
    } | events | grep -qx $'got\tbob\t[0-9]*\tend of file'
}

@test "lab 1: what was read is in the table, by whom, and in which order" {
    needs_strace
    use_lab 01
    make -s build/90-planted
    strace -f -y -s 256 -qq -o "$box/log" build/90-planted >"$box/out"
    cmp "$box/out" expected/90-planted.txt
    awk -f scripts/study/events.awk -f scripts/study/messages.awk "$box/log" |
        awk -F '\t' '$1 == "got" && $3 != "" { print $2, $4 }' |
        grep -v 'wait()' >"$box/got"
    sed -nE 's/^([a-z]+) +re[a-z]+\(.*\) = ([0-9]+ )?(".+")$/\1 \3/p
        s/^([a-z]+) +(re[a-z]+)\(.*\) = 0( "")?$/\1 end of file/p
        s/^([a-z]+) +(re[a-z]+)\(.*\) = -1 ECONNRESET$/\1 \2() = ECONNRESET/p' \
        "$box/out" | diff - "$box/got"
}

@test "the picture is well-formed, and has what the text has" {
    needs_strace
    plant 'int sv[2]; step("Who <is> & \"who\"?");
           CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
           CHECK(write(sv[0], "<a> & b", 7)); role("r&d");
           CHECK(read(sv[1], &(char[9]){0}, 9));
           CHECK(close(sv[0])); CHECK(close(sv[1]));' hello
    passes make -s diagram-90
    said '      |               |'
    said 'as a picture: build/diagram/90.svg'
    perl -0777 -ne 's/<style>.*?<\/style>//s; my @open;
        while (/([^<>]*)<([^<>]*)>/g) {
            my ($text, $tag) = ($1, $2);
            die "raw $text" if $text =~ /&(?!(amp|lt|gt);)/;
            if ($tag =~ m{^/(\w+)}) { die $tag if pop(@open) ne $1 }
            elsif ($tag !~ m{/$}) { $tag =~ /^(\w+)/ and push @open, $1 }
        }
        die "open: @open" if @open' build/diagram/90.svg
    for text in '1. Who &lt;is&gt; &amp; "who"?' '"&lt;a&gt; &amp; b"' \
        'r&amp;d' 'prefers-color-scheme: dark'; do
        grep -qF "$text" build/diagram/90.svg
    done
}

@test "STEP=2 draws one step, and another file" {
    needs_strace
    plant 'int sv[2]; CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
           step("One?"); CHECK(write(sv[0], "one", 3));
           CHECK(read(sv[1], &(char[3]){0}, 3));
           step("Two?"); CHECK(write(sv[0], "tw", 2));
           CHECK(write(sv[0], "o", 1)); CHECK(read(sv[1], &(char[3]){0}, 3));
           step("Three?"); CHECK(close(sv[0])); CHECK(close(sv[1]));' hello
    STEP=2 passes make -s diagram-90
    [[ $output == '2. Two?'* && $output != *'3. Three?'* ]]
    grep -q '<-\[1-2\] *"two"$' <<<"$output" # counted in each step anew
    said 'as a picture: build/diagram/90-2.svg'
    [[ $(ls build/diagram) == 90-2.svg ]]
    [[ $(grep -c question build/diagram/90-2.svg) == 2 ]] # and in the style
    make -s build/90-planted
    STEP=7 yields 2 scripts/study/diagram.sh build/90-planted
    said 'diagram.sh: STEP=7: lab 90 has no such step; there are: 1 2 3'
    fails make -s diagram-99
    said 'there is no lab 99; the labs are: 90'
}

@test "without strace, or where it cannot write, it says so in one line" {
    sketch 'echo "1. Who?"'
    mkdir "$box/bin"
    ln -s /usr/bin/* "$box/bin"
    rm -f "$box/bin/strace"
    PATH=$box/bin yields 1 scripts/study/diagram.sh build/90-planted
    [[ $output == 'diagram.sh: strace is missing: install the package strace' ]]
    needs_strace
    echo 'not a directory' >build/diagram
    yields 2 scripts/study/diagram.sh build/90-planted
    said 'diagram.sh: cannot write build/diagram/90.svg: make its directory yours'
    [[ -z $(ls -d build/work.* 2>/dev/null) ]]
}
