# tables.awk -- what round-trip.csv and one-way.csv say, for bench.sh
#
# Called with -v show=screen, tables, or plot, which leaves in -v dir= what
# pictures.gp draws; and with the lists -v order= of transports and floors,
# -v places=, and -v names= of the transports that may be drawn.
#
# A row is one slice. Rows are counted by key: metric, place, transport, size.

BEGIN {
    FS = ","
    np = split(places, place, " ")
    nt = split(order, transport, " ")
    nd = split(names, drawn, " ")
    nf = split("mean_ns p50_ns p99_ns p99.9_ns max_ns shown", figure, " ")
}

# Reading.

/^# .*wmem_default: [0-9]/ { standard = substr($0, index($0, ": ") + 2) + 0 }

/^#/ { next }

$1 == "place" {
    split("", column)
    for (i = 1; i <= NF; i++)
        column[$i] = i
    metric = "round_trips" in column ? "trip" : "way"
    next
}

{
    t = $column["transport"]
    s = $column["size_bytes"]
    key = key_of(metric, $column["place"], t, s)
    n = ++slices[key]
    for (name in column)
        cell[key, name, n] = $column[name]
    # what tables and pictures show: us there and back, MB/s one way
    cell[key, "shown", n] = metric == "trip" ? \
        $column["mean_ns"] / 1000 : $column["MB_per_s"]
    if (metric == "way") {
        lost[key] += $column["lost"]
        sent[key] += $column["messages"]
    }
    if ($column["place"] == "self" && t ~ /^(unix-stream|tcp|pipe)$/ && \
        s > 65536)
        has_pieces = 1
    if (has_one_size(t))
        has_floors = 1
    else if (!(s in seen)) {
        seen[s] = 1
        size[++ns] = s
    }
    buffer[t, s] = $column["sndbuf_bytes"]
    if (!(t in least_buffer) || buffer[t, s] < least_buffer[t])
        least_buffer[t] = buffer[t, s]
}

function key_of(metric, place, transport, size) {
    return metric " " place " " transport " " size
}

# The floors but memcpy, which is measured at each size.
function has_one_size(name) {
    return name ~ /^(eventfd|spin|syscall|clock)$/
}

# Figures.

# Leaves the least, the most and the median of list[1..n] under a name.
function summarise(list, n, name,    i, j, x) {
    for (i = 2; i <= n; i++) {
        x = list[i]
        for (j = i - 1; j > 0 && list[j] > x; j--)
            list[j + 1] = list[j]
        list[j + 1] = x
    }
    least[name] = list[1]
    most[name] = list[n]
    median[name] = (list[int((n + 1) / 2)] + list[int(n / 2) + 1]) / 2
}

function summarise_all(    key, f, i, list) {
    for (key in slices)
        for (f = 1; f <= nf; f++) {
            for (i = 1; i <= slices[key]; i++)
                list[i] = cell[key, figure[f], i] + 0
            summarise(list, slices[key], key " " figure[f])
        }
}

# The time of AF_UNIX / that of TCP, slice by slice, under the name that is
# returned; held[name] is in how many slices it was on the median's side of 1.
function compare(metric, place, size,    unix, tcp, n, i, list, name, below) {
    unix = key_of(metric, place, "unix-stream", size)
    tcp = key_of(metric, place, "tcp", size)
    name = metric " " place " " size " ratio"
    n = slices[unix] < slices[tcp] ? slices[unix] : slices[tcp]
    compared[name] = n + 0
    if (!n)
        return name
    for (i = 1; i <= n; i++) {
        list[i] = cell[unix, "mean_ns", i] / cell[tcp, "mean_ns", i]
        below += list[i] < 1
    }
    summarise(list, n, name)
    held[name] = median[name] < 1 ? below + 0 : n - below
    return name
}

# Text.

# Three figures, or all of those before the point; k for thousands.
function short(x) {
    if (x >= 99999.5)
        return sprintf("%.0fk", x / 1000)
    if (x < 0.995)
        return sprintf("%.3f", x)
    return sprintf(x < 9.995 ? "%.2f" : x < 99.95 ? "%.1f" : "%.0f", x)
}

# At most four characters, of microseconds; m for milliseconds, s for seconds.
function tight(us) {
    if (us >= 999500)
        return sprintf("%.0fs", us / 1000000)
    if (us >= 9999.5)
        return sprintf("%.0fm", us / 1000)
    return us < 0.995 ? sprintf("%.2f", us) : short(us)
}

function size_text(bytes) {
    if (bytes >= 1048576)
        return bytes / 1048576 "M"
    return bytes >= 1024 ? bytes / 1024 "K" : bytes ""
}

# Marked if the SO_SNDBUF was made larger. Where the default is not known, the
# least of all sizes has to do for it.
function name_text(name, size,    usual) {
    usual = standard ? standard : least_buffer[name]
    return name (buffer[name, size] > usual && name ~ /^(unix|udp)/ ? "*" : "")
}

function heading(text,    p) {
    printf "\n%s\n\n%-20s", text, "size"
    for (p = 1; p <= np; p++)
        printf "%20s", place[p]
    print ""
}

# The screen: AF_UNIX stream against TCP.

# Without the blanks at its end.
function print_line(line) {
    sub(/ +$/, "", line)
    print line
}

# All sizes that were measured, or five of them, so that they fit.
function choose_sizes(    s, some) {
    some = " 64 1024 16384 65536 1048576 "
    n_chosen = 0
    for (s = 1; s <= ns; s++)
        if (ns <= 5 || index(some, " " size[s] " "))
            choice[++n_chosen] = size[s]
}

function screen_cell(metric, transport, place, size,    key) {
    key = key_of(metric, place, transport, size)
    return key in slices ? short(median[key " shown"]) : "-"
}

# Fewer than nine in ten slices agree: a ratio that says nothing.
function screen_ratio(metric, place, size,    name) {
    name = compare(metric, place, size)
    if (!compared[name])
        return "- "
    return sprintf("%.2f%s", median[name], \
        held[name] * 10 < compared[name] * 9 ? "?" : " ")
}

function screen_rows(metric,    c, p, line) {
    for (c = 1; c <= n_chosen; c++) {
        line = sprintf("%-8s", size_text(choice[c]))
        for (p = 1; p <= np; p++)
            line = line sprintf("%9s%8s%7s", \
                screen_cell(metric, "unix-stream", place[p], choice[c]), \
                screen_cell(metric, "tcp", place[p], choice[c]), \
                screen_ratio(metric, place[p], choice[c]))
        print_line(line)
    }
}

function screen(    p, meaning, where, what) {
    if (!("unix-stream" in least_buffer) || !("tcp" in least_buffer)) {
        print "unix-stream and tcp were not both measured: see the tables."
        return
    }
    meaning["self"] = "self, one thread"
    meaning["same"] = "same, one core"
    meaning["cross"] = "cross, two cores"
    choose_sizes()
    print "AF_UNIX stream against TCP: the median of slices that took turns\n"
    where = sprintf("%-8s", "size")
    what = sprintf("%-8s", "")
    for (p = 1; p <= np; p++) {
        where = where sprintf("%23s ", meaning[place[p]])
        what = what sprintf("%9s%8s%7s", "AF_UNIX", "TCP", "ratio ")
    }
    print_line(where)
    print_line(what)
    print "round trip, us"
    screen_rows("trip")
    print "one way, MB/s"
    screen_rows("way")
    print "\nratio: time of AF_UNIX / time of TCP; below 1, AF_UNIX takes less"
    print "?: not so in nine of ten slices, so nothing can be said"
}

# The tables.

# The median of ten maxima would hide the largest.
function tail_cell(key) {
    return sprintf(" %4s %4s %4s %4s", tight(median[key " p50_ns"] / 1000), \
        tight(median[key " p99_ns"] / 1000), \
        tight(median[key " p99.9_ns"] / 1000), \
        tight(most[key " max_ns"] / 1000))
}

function range_cell(key,    range) {
    range = short(least[key " shown"]) "-" short(most[key " shown"])
    return sprintf("%7s %12s", short(median[key " shown"]), range)
}

# Rows of all sizes and transports, of one metric; kind is "range" or "tail".
function table(metric, kind,    s, t, p, key, any, line) {
    for (s = 1; s <= ns; s++)
        for (t = 1; t <= nt; t++) {
            any = 0
            line = sprintf("%-4s %-15s", size_text(size[s]), \
                name_text(transport[t], size[s]))
            for (p = 1; p <= np; p++) {
                key = key_of(metric, place[p], transport[t], size[s])
                if (!(key in slices) || \
                    kind == "tail" && cell[key, "p50_ns", 1] == "") {
                    line = line sprintf("%20s", "-")
                    continue
                }
                any = 1
                line = line (kind == "tail" ? tail_cell(key) : range_cell(key))
            }
            if (any)
                print line
        }
}

function floors(    p, t, key, line) {
    heading("Floors, in ns: without a message; eventfd and spin are round" \
        " trips")
    for (t = 1; t <= nt; t++) {
        if (!has_one_size(transport[t]))
            continue
        line = sprintf("%-20s", transport[t])
        for (p = 1; p <= np; p++) {
            key = key_of("trip", place[p], transport[t], 8)
            line = line sprintf("%20s", \
                key in slices ? short(median[key " mean_ns"]) : "-")
        }
        print line
    }
}

function losses(    p, s, key, line, any, text) {
    for (s = 1; s <= ns; s++) {
        any = 0
        line = sprintf("%-20s", size_text(size[s]))
        for (p = 1; p <= np; p++) {
            key = key_of("way", place[p], "udp", size[s])
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

function ratios(metric,    s, p, name, line, any) {
    for (s = 1; s <= ns; s++) {
        any = 0
        line = sprintf("%-20s", size_text(size[s]))
        for (p = 1; p <= np; p++) {
            name = compare(metric, place[p], size[s])
            any += compared[name]
            line = line (compared[name] ? sprintf("%11s %8s", \
                short(median[name]), held[name] "/" compared[name]) : \
                sprintf("%20s", "-"))
        }
        if (any)
            print line
    }
}

function tables(    range_of, held_in) {
    range_of = "median of the slices, and their range"
    print "self: one thread. same: two processes, one core. cross: two cores."
    heading("Round trip in us, mean of all: " range_of)
    table("trip", "range")
    heading("Round trip in us, one by one: p50, p99, p99.9, max of all (m: ms)")
    table("trip", "tail")
    print "\nEach has a reading of the clock in it. p50 to p99.9 are the" \
        " slices' median;\nwhere a slice has under 1000 trips, p99.9 is its" \
        " slowest; under 100, p99 too."
    heading("One way in MB/s (10^6 bytes received): " range_of)
    table("way", "range")
    print "\n-: not possible, or not asked for. *: with a larger SO_SNDBUF" \
        " than the default"
    if (has_pieces)
        print "In self, 256K and 1M go by streams in pieces of 64K, one trip" \
            " after the other."
    if (has_floors)
        floors()
    if ("udp" in least_buffer) {
        heading("Lost by udp one way, of all that was sent")
        losses()
    }
    if ("tcp" in least_buffer && "unix-stream" in least_buffer) {
        held_in = "time of unix-stream / tcp; slices on that side of 1"
        heading("Round trip: " held_in)
        ratios("trip")
        heading("One way: " held_in)
        ratios("way")
    }
}

# What pictures.gp draws. A ? is a point that is missing.

# A block for each place, a column for each transport.
function plot(metric,    p, s, t, key, file, line) {
    file = dir "/" metric ".dat"
    for (p = 1; p <= np; p++) {
        for (s = 1; s <= ns; s++) {
            line = size[s]
            for (t = 1; t <= nd; t++) {
                key = key_of(metric, place[p], drawn[t], size[s])
                line = line " " (key in slices ? median[key " shown"] : "?")
                if (key in slices)
                    print median[key " shown"] >(dir "/" metric "-all.dat")
            }
            print line >file
        }
        print "\n" >file
    }
}

# Three columns for each place: the median, the least, the most.
function plot_ratios(metric,    s, p, name, any, line) {
    for (s = 1; s <= ns; s++) {
        any = 0
        line = size[s]
        for (p = 1; p <= np; p++) {
            name = compare(metric, place[p], size[s])
            if (!compared[name]) {
                line = line " ? ? ?"
                continue
            }
            any = 1
            line = line " " median[name] " " least[name] " " most[name]
            print least[name] "\n" most[name] >(dir "/all-ratio.dat")
        }
        if (any)
            print line >(dir "/" metric "-ratio.dat")
    }
}

END {
    summarise_all()
    if (show == "screen")
        screen()
    if (show == "tables")
        tables()
    if (show == "plot") {
        plot("trip")
        plot("way")
        plot_ratios("trip")
        plot_ratios("way")
    }
}
