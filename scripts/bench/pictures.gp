# pictures.gp -- draw round-trip, one-way and ratio, for bench.sh
#
# Reads what tables.awk left in the current directory, and makes an .svg and a
# .png of each. Transports differ in colour, in point and in dashes. The caller
# sets two lists, places and names (of transports); drawn, the numbers of those
# names that were measured; and ratio, whether there are data for that picture.
# A picture is passed on without its table: it says where and when by itself.

about = system("sed -En 's/^# (date: |kernel: |CPU: |([0-9]+ slices))/ \\2/p'" \
    ." round-trip.csv | tr '\\n' ' '")
median = 'points: the median of the slices'
styles = '1 4 6'
set datafile missing '?'
set logscale x 4
set xrange [0.8:1400000]
set xtics ('1' 1, '16' 16, '256' 256, '4K' 4096, '64K' 65536, '1M' 1048576)
set grid lw 1 lc rgb '#cccccc'
set style line 1 lw 4 ps 1.8 pt 7 dt 1 lc rgb '#0072b2'
set style line 2 lw 4 ps 1.8 pt 5 dt 2 lc rgb '#56b4e9'
set style line 3 lw 4 ps 1.8 pt 9 dt 4 lc rgb '#009e73'
set style line 4 lw 4 ps 1.8 pt 6 dt 1 lc rgb '#d55e00'
set style line 5 lw 4 ps 1.8 pt 4 dt 3 lc rgb '#e69f00'
set style line 6 lw 4 ps 1.8 pt 2 dt 5 lc rgb '#000000'

do for [kind in 'svg png'] {
    if (kind eq 'svg') {
        set terminal svg size 1800,1000 noenhanced font 'sans,28' \
            background 'white'
    } else {
        set terminal pngcairo size 1800,1000 noenhanced font 'sans,24'
    }
    set logscale y 10
    set xlabel 'bytes in a message'
    do for [metric in 'trip way'] {
        trip = metric eq 'trip'
        set output (trip ? 'round-trip.' : 'one-way.').kind
        # the same scale for all places, so that they can be compared
        set yrange [*:*]    # or it leaves out what is not in the old one
        stats metric.'-all.dat' using 1 nooutput
        set yrange [STATS_min / 1.5 : STATS_max * 1.5]
        set ytics autofreq
        # there may be no power of ten between them
        more = STATS_max < 5 * STATS_min ? '1.5 2 3 4 5 7' : \
            STATS_max < 50 * STATS_min ? '2 5' : ''
        set mytics default
        if (more ne '') { unset mytics }    # some would be beside the axis
        do for [e = -4:7] {
            do for [x in more] { set ytics add (x * 10.0 ** e) }
        }
        set multiplot layout 1,words(places) \
            margins 0.11,0.98,0.16,0.80 spacing 0.03
        do for [p = 1:words(places)] {
            set title word(places, p).' ('.(word(places, p) eq 'self' ? \
                'one thread' : word(places, p) eq 'same' ? \
                'two processes, one core' : 'two cores').')'
            set ylabel p > 1 ? '' : trip ? \
                'round trip, microseconds' : 'one way, MB/s'
            set format y p > 1 ? '' : '%g'
            set label 8 p > 1 ? '' : median at screen 0.02,0.975 font ',16'
            set label 9 p > 1 ? '' : about at screen 0.01,0.025 font ',16'
            unset key
            if (p == 1) {
                set key at screen 0.97,0.98 maxrows 2 samplen 4 width 1
            }
            plot for [t in drawn] metric.'.dat' index p - 1 \
                using 1:(column(t + 1)) with linespoints ls t + 0 \
                title word(names, t + 0)
        }
        unset multiplot
    }

    if (ratio) {
        set output 'ratio.'.kind
        unset logscale y
        set logscale y 2
        set yrange [*:*]
        stats 'all-ratio.dat' using 1 nooutput
        set yrange [(STATS_min < 0.2 ? STATS_min / 1.6 : 0.125) : \
            (STATS_max > 3 ? STATS_max * 1.4 : 4)]
        set arrow 1 from graph 0,first 1 to graph 1,first 1 nohead lw 5 \
            lc rgb '#000000'
        set label 1 'TCP takes less' at graph 0.03,0.95
        set label 2 'AF_UNIX takes less' at graph 0.03,0.05
        set multiplot layout 1,2 margins 0.11,0.98,0.16,0.80 spacing 0.03
        do for [m = 1:2] {
            set title m == 1 ? 'round trip' : 'one way'
            set ylabel m == 1 ? 'time of AF_UNIX stream / TCP' : ''
            set format y m == 1 ? '%g' : ''
            set ytics autofreq
            do for [e = 1:9 * (m == 1)] {
                set ytics add ('1/'.(2 ** e) 0.5 ** e)
            }
            set label 8 m > 1 ? '' : \
                median."\nbars: the least and the most of them"
            set label 9 m > 1 ? '' : about
            unset key
            if (m == 1) {
                set key at screen 0.97,0.98 maxrows 1 samplen 4
            }
            file = word('trip way', m).'-ratio.dat'
            plot for [p = 1:words(places)] file using 1:(column(3 * p - 1)) \
                :(column(3 * p)):(column(3 * p + 1)) with yerrorbars \
                ls word(styles, p) + 0 lw 2 dt 1 notitle, \
                for [p = 1:words(places)] file using 1:(column(3 * p - 1)) \
                with linespoints ls word(styles, p) + 0 title word(places, p)
        }
        unset multiplot
        unset arrow 1
        unset label 1
        unset label 2
    }
}
