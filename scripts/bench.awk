# bench.awk -- the tables of round-trip.csv and one-way.csv, for bench.sh
#
# Called with -v dir=, where it leaves what bench.gp draws, and with the lists
# -v order= of transports and floors, -v places=, and -v names= of what may be
# drawn. Of the slices it takes the median.

BEGIN {
    FS = ","
    np = split(places, place, " ")
    nt = split(order, transport, " ")
    nd = split(names, drawn, " ")
}

/^# .*wmem_default: [0-9]/ { standard = substr($0, index($0, ": ") + 2) + 0 }

/^#/ { next }

$1 == "place" {
    metric = ++files == 1 ? "trip" : "way"
    next
}

{
    if ($1 == "self" && $2 ~ /^(unix-stream|tcp|pipe)$/ && $3 > 65536)
        pieces = 1
    key = metric SUBSEP $1 SUBSEP $2 SUBSEP $3
    n = ++slices[key]
    value[key, n] = metric == "trip" ? $7 : $8
    if (has_one_size($2))
        has_floors = 1
    else if (!($3 in seen)) {
        seen[$3] = 1
        size[++ns] = $3
    }
    if (metric == "trip") {
        for (i = 8; i <= 11; i++)
            value[key, i, n] = $i
    } else {
        lost[key] += $7
        sent[key] += $6
        speed[key, n] = $9
    }
    if (!($2 in least) || $4 < least[$2])
        least[$2] = $4
    buffer[$2, $3] = $4
}

# The floors but memcpy, which is measured at each size.
function has_one_size(name) {
    return name ~ /^(eventfd|spin|syscall|clock)$/
}

# Sorts list[1..n] of numbers.
function sort(list, n,    i, j, x) {
    for (i = 2; i <= n; i++) {
        x = list[i]
        for (j = i - 1; j > 0 && list[j] > x; j--)
            list[j + 1] = list[j]
        list[j + 1] = x
    }
}

# Sets low, mid (the median) and high of list[1..n].
function measure(list, n) {
    sort(list, n)
    low = list[1]
    high = list[n]
    mid = (list[int((n + 1) / 2)] + list[int(n / 2) + 1]) / 2
}

# Does so for from[key, 1..n]; field, if not empty, comes between.
function range(from, key, field,    i, n, list) {
    n = slices[key]
    for (i = 1; i <= n; i++)
        list[i] = (field == "" ? from[key, i] : from[key, field, i]) + 0
    measure(list, n)
    return n > 0
}

# Does so for what tables and pictures show of key of metric m: us, or MB/s.
function shown(m, key,    any) {
    if (m == "way")
        return range(speed, key, "")
    any = range(value, key, "")
    low /= 1000
    mid /= 1000
    high /= 1000
    return any
}

# Three figures, or all of those before the point; k for thousands.
function short(x) {
    if (x >= 99999.5)
        return sprintf("%.0fk", x / 1000)
    if (x < 0.995)
        return sprintf("%.3f", x)
    return sprintf(x < 9.995 ? "%.2f" : x < 99.95 ? "%.1f" : "%.0f", x)
}

function name_of(bytes) {
    if (bytes >= 1048576)
        return bytes / 1048576 "M"
    return bytes >= 1024 ? bytes / 1024 "K" : bytes ""
}

# Where the default is not known, the least of all sizes has to do for it.
function name(t, s,    usual) {
    usual = standard ? standard : least[transport[t]]
    return transport[t] (buffer[transport[t], s] > usual && \
        transport[t] ~ /^(unix|udp)/ ? "*" : "")
}

function heading(text,    p) {
    printf "\n%s\n\n%-20s", text, "size"
    for (p = 1; p <= np; p++)
        printf "%20s", place[p]
    print ""
}

# What there is to say of key of metric m: of all its trips, or of its tail.
function cell(m, kind, key,    i, text) {
    if (kind == "tail") {
        # the median of ten maxima would hide the largest
        for (i = 8; i <= 11; i++) {
            range(value, key, i)
            text = text sprintf(" %4s", tight((i < 11 ? mid : high) / 1000))
        }
        return text
    }
    shown(m, key)
    return sprintf("%7s %12s", short(mid), short(low) "-" short(high))
}

# Rows of all sizes and transports, of metric m.
function table(m, kind,    s, t, p, key, any, line) {
    for (s = 1; s <= ns; s++)
        for (t = 1; t <= nt; t++) {
            any = 0
            line = sprintf("%-4s %-15s", name_of(size[s]), name(t, size[s]))
            for (p = 1; p <= np; p++) {
                key = m SUBSEP place[p] SUBSEP transport[t] SUBSEP size[s]
                if (!(key in slices) || \
                    kind == "tail" && value[key, 8, 1] == "") {
                    line = line sprintf("%20s", "-")
                    continue
                }
                any = 1
                line = line cell(m, kind, key)
            }
            if (any)
                print line
        }
}

# At most four characters, of microseconds; m for milliseconds, s for seconds.
function tight(us) {
    if (us >= 999500)
        return sprintf("%.0fs", us / 1000000)
    if (us >= 9999.5)
        return sprintf("%.0fm", us / 1000)
    return us < 0.995 ? sprintf("%.2f", us) : short(us)
}

function floors(    p, t, key, line, text) {
    heading("Floors, in ns: without a message; eventfd and spin are round" \
        " trips")
    for (t = 1; t <= nt; t++) {
        if (!has_one_size(transport[t]))
            continue
        line = sprintf("%-20s", transport[t])
        for (p = 1; p <= np; p++) {
            key = "trip" SUBSEP place[p] SUBSEP transport[t] SUBSEP 8
            text = range(value, key, "") ? short(mid) : "-"
            line = line sprintf("%20s", text)
        }
        print line
    }
}

function losses(    p, s, key, line, any, text) {
    for (s = 1; s <= ns; s++) {
        any = 0
        line = sprintf("%-20s", name_of(size[s]))
        for (p = 1; p <= np; p++) {
            key = "way" SUBSEP place[p] SUBSEP "udp" SUBSEP size[s]
            any += sent[key] > 0
            text = "-"
            if (sent[key] > 0)
                text = sprintf("%.1f %%", 100 * lost[key] / sent[key])
            line = line sprintf("%20s", text)
        }
        if (any)
            print line
    }
}

# AF_UNIX stream over TCP, in time; in how many slices it was on that side of 1.
function ratios(m, text,    file, data, s, p, i, n, unix, tcp, list, line, any,
    below) {
    heading(text)
    file = dir "/" m "-ratio.dat"
    for (s = 1; s <= ns; s++) {
        any = 0
        line = sprintf("%-20s", name_of(size[s]))
        data = size[s]
        for (p = 1; p <= np; p++) {
            unix = m SUBSEP place[p] SUBSEP "unix-stream" SUBSEP size[s]
            tcp = m SUBSEP place[p] SUBSEP "tcp" SUBSEP size[s]
            n = slices[unix] < slices[tcp] ? slices[unix] : slices[tcp]
            if (!n) {
                line = line sprintf("%20s", "-")
                data = data " ? ? ?"
                continue
            }
            any = 1
            below = 0
            for (i = 1; i <= n; i++) {
                list[i] = value[unix, i] / value[tcp, i]
                below += list[i] < 1
            }
            measure(list, n)
            line = line sprintf("%11s %8s", short(mid),
                (mid < 1 ? below : n - below) "/" n)
            data = data " " mid " " low " " high
            print low "\n" high >(dir "/all-ratio.dat")
        }
        if (any) {
            print line
            print data >file
        }
    }
}

# What bench.gp draws: a block for each place, a column for each transport.
function plot(m,    p, s, t, n, key, file, line, word) {
    file = dir "/" m ".dat"
    for (p = 1; p <= np; p++) {
        for (s = 1; s <= ns; s++) {
            line = size[s]
            for (t = 1; t <= nd; t++) {
                key = m SUBSEP place[p] SUBSEP drawn[t] SUBSEP size[s]
                line = line " " (shown(m, key) ? mid : "?")
            }
            print line >file
            n = split(line, word, " ")
            for (t = 2; t <= n; t++)
                if (word[t] != "?")
                    print word[t] >(dir "/" m "-all.dat")
        }
        print "\n" >file
    }
}

END {
    range_of = "median of the slices, and their range"
    heading("Round trip in us, mean of all: " range_of)
    table("trip", "")
    heading("Round trip in us, one by one: p50, p99, p99.9, max of all (m: ms)")
    table("trip", "tail")
    print "\nEach has a reading of the clock in it. p50 to p99.9 are the" \
        " slices' median;\nwhere a slice has under 1000 trips, p99.9 is its" \
        " slowest; under 100, p99 too."
    heading("One way in MB/s (10^6 bytes received): " range_of)
    table("way", "")
    print "\n-: not possible, or not asked for. *: with a larger SO_SNDBUF" \
        " than the default"
    if (pieces)
        print "In self, 256K and 1M go by streams in pieces of 64K, one trip" \
            " after the other."
    if (has_floors)
        floors()
    if ("udp" in least) {
        heading("Lost by udp one way, of all that was sent")
        losses()
    }
    if ("tcp" in least && "unix-stream" in least) {
        held = "time of unix-stream / tcp; slices on that side of 1"
        ratios("trip", "Round trip: " held)
        ratios("way", "One way: " held)
    }
    plot("trip")
    plot("way")
}
