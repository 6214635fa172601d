#!/bin/busybox sh
# A guest in the lab: works and checks itself until it is told to finish, then says what it found.
[ -e /bin/sh ] || /bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t tmpfs none /tmp

source=$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)
echo "guest: up with $(nproc) processors, time by $source"
# Without its first program a kernel cannot go on. It waits until it was heard: a crash tears what is on its way apart.
[ "$lab" = crash ] && read -r _ && exit 1

fault() {
    echo "$*" >> /tmp/faults
}

# Reads what was written to the disk.
recheck() {
    for file in "$1"/file-?; do
        [ "$(sha1sum < "$file")" = "$(cat "$file.sum")" ] || fault "$file is not on the disk as it was written"
    done
}

if [ "$lab" = read ]; then
    mount -t ext4 -o ro /dev/vda /disk || fault "the disk is none"
    echo x 2> /tmp/refusal > /dev/vda && fault "the disk can be written to"
    recheck /disk/work
    [ -e /tmp/faults ] && sed 's/^/guest: fault: /' /tmp/faults
    echo "guest: read $(ls /disk/work | grep -c sum) files"
    poweroff -f
fi

# Writes half of the content to half of what is rewritten.
half() {
    dd if=/tmp/content of=/tmp/rewritten bs="$block" count=8 skip="$1" seek="$2" conv=notrunc 2> /tmp/written ||
        fault "nothing was written: $(cat /tmp/written)"
}

# Rewrites memory as fast as it can, now with one content and now with its halves the other way round.
writer() {
    count=0
    while [ ! -e /tmp/finish ]; do
        half 0 0 && half 8 8 && half 0 8 && half 8 0
        count=$((count + 1))
    done
    [ "$(sha1sum < /tmp/rewritten)" = "$swapped" ] || fault "what was written is not there"
    [ "$(sha1sum < /tmp/content)" = "$sum" ] || fault "what was left alone has changed"
    echo "$count" > /tmp/count-writer
}

# So many bytes of content, a multiple of 16.
contents() {
    block=$(($1 / 16))
    head -c "$1" /dev/urandom > /tmp/content
    sum=$(sha1sum < /tmp/content)
    swapped=$({ tail -c $((block * 8)) /tmp/content; head -c $((block * 8)) /tmp/content; } | sha1sum)
    cp /tmp/content /tmp/rewritten
}

# Says back what is typed in, so that whoever types knows that the guest is there.
answer() {
    echo "guest: at work"
    while read -r word && [ "$word" != finish ]; do
        echo "guest: $word"
    done
    touch /tmp/finish
    wait
}

# Says what was found, and ends.
verdict() {
    dmesg | grep -iE 'stall|lockup|hung task|backwards|clocksource.*(skew|unstable)|BUG:|Oops|WARNING:|Call Trace|segfault|I/O error|EXT4-fs (error|warning)' > /tmp/trouble &&
        fault "the kernel complains: $(cat /tmp/trouble)"
    if [ -e /tmp/faults ]; then
        sed 's/^/guest: fault: /' /tmp/faults
        echo "guest: checked, with faults"
    else
        echo "guest: checked, all right: $*"
    fi
    poweroff -f
}

# Compiles a program of ours.
compiled() {
    tcc -nostdinc -nostdlib -static "$@" 2> /tmp/compiler || fault "the compiler fails: $(cat /tmp/compiler)"
}

if [ "$lab" = outrun ]; then
    compiled -o /tmp/sweep /sweep.c
    { /tmp/sweep > /tmp/rounds || fault "a page was not as it was left"; } &
    answer
    verdict "memory written $(cat /tmp/rounds) times"
fi

# What comes on a connection to the outside goes back there, for as long as there is something.
connection() {
    ip addr add 10.9.0.2/24 dev eth0 && ip link set eth0 up || fault "there is no network"
    nc 10.9.0.1 5000 -e cat || fault "the connection is lost"
}

# Writes files, copies them, and reads both again.
files() {
    count=0
    while [ ! -e /tmp/finish ]; do
        head -c 500000 /dev/urandom > /tmp/original
        sum=$(sha1sum < /tmp/original)
        cp /tmp/original /tmp/copy
        [ "$(sha1sum < /tmp/copy)" = "$sum" ] || fault "a copy differs from its original"
        [ "$(sha1sum < /tmp/original)" = "$sum" ] || fault "a file has changed"
        count=$((count + 1))
    done
    echo "$count" > /tmp/count-files
}

# Writes files to the disk, and reads each again from there and not from memory.
disk() {
    count=0
    while [ ! -e /tmp/finish ]; do
        file=/work/file-$((count % 8))
        head -c 294912 /dev/urandom > /tmp/made
        sha1sum < /tmp/made > "$file.sum"
        dd if=/tmp/made of="$file" bs=64k conv=fsync 2> /tmp/said || fault "a file cannot be written: $(cat /tmp/said)"
        [ "$(dd if="$file" bs=64k iflag=direct 2> /tmp/said | sha1sum)" = "$(cat "$file.sum")" ] || fault "$file is not what was written"
        count=$((count + 1))
    done
    echo "$count" > /tmp/count-disk
}

# Compiles a program to the disk, each time with another number, and runs it. What it says is worked out here, too; and
# from the same source comes the same program.
compiler() {
    count=0
    while [ ! -e /tmp/finish ]; do
        seed=$((count % 5 + 1))
        compiled -DSEED=$seed -o /work/program /program.c
        value=$seed
        step=0
        while [ $step -lt 100 ]; do
            value=$((value * 6364136223846793005 + 1442695040888963407))
            step=$((step + 1))
        done
        said=$(/work/program)
        # There are 2262 primes below 20000.
        [ "$said" = "$seed 2262 $value" ] || fault "the program says '$said' and not '$seed 2262 $value'"
        sum=$(sha1sum < /work/program)
        [ -e /tmp/program-$seed ] || echo "$sum" > /tmp/program-$seed
        [ "$(cat /tmp/program-$seed)" = "$sum" ] || fault "the compiler made another program of the same source"
        count=$((count + 1))
    done
    echo "$count" > /tmp/count-compiler
}

# Reads the time, which must never go back, whichever processor reads it: that since the start, and that of day.
clock() {
    last=0
    day=0
    while [ ! -e /tmp/finish ]; do
        read -r now _ < /proc/uptime
        now=${now%.*}${now#*.}
        [ "$now" -ge "$last" ] || fault "the time went back from $last to $now"
        last=$now
        now=$(date +%s)
        [ "$now" -ge "$day" ] || fault "the time of day went back from $day to $now"
        day=$now
        usleep 50000
    done
}

# Draws random numbers from the host, which must be others every time.
random() {
    count=0
    last=
    case $(cat /sys/class/misc/hw_random/rng_current) in virtio*) ;; *) fault "the host gives no random numbers" ;; esac
    while [ ! -e /tmp/finish ]; do
        dd if=/dev/hwrng of=/tmp/drawn bs=64 count=1 2> /tmp/drawing
        [ "$(wc -c < /tmp/drawn)" = 64 ] || fault "no random numbers came: $(cat /tmp/drawing)"
        now=$(sha1sum < /tmp/drawn)
        [ "$now" != "$last" ] || fault "random numbers came twice"
        last=$now
        count=$((count + 1))
        usleep 100000
    done
    echo "$count" > /tmp/count-random
}

# Numbers lines on a console that is there for that alone.
lines() {
    exec 3> /dev/hvc0 || fault "there is no second console"
    count=0
    while [ ! -e /tmp/finish ]; do
        count=$((count + 1))
        echo "line $count" >&3
        usleep 100000
    done
    echo "$count" > /tmp/count-lines
}

# A program that is not ours checks memory, over and over.
memory() {
    count=0
    while [ ! -e /tmp/finish ]; do
        MEMTESTER_TEST_MASK=0x7f memtester 512K 1 > /tmp/memtester 2>&1 ||
            fault "memtester failed: $(tail -n 3 /tmp/memtester)"
        count=$((count + 1))
    done
    echo "$count" > /tmp/count-memory
}

# Another one writes to the disk here and there, past the guest's memory, and reads each block again with its checksum.
blocks() {
    count=0
    while [ ! -e /tmp/finish ]; do
        # Its start costs more than what it does.
        fio --name=blocks --filename=/work/blocks --size=512k --bs=4k --rw=randwrite --direct=1 --ioengine=psync --thread --loops=8 \
            --fsync=32 --verify=crc32c --verify_fatal=1 --randseed=$count > /tmp/fio 2>&1 || fault "fio failed: $(tail -n 3 /tmp/fio)"
        count=$((count + 1))
    done
    echo "$count" > /tmp/count-blocks
}

# The libraries of fio ask for far more memory than they use.
echo 1 > /proc/sys/vm/overcommit_memory
contents 524288
for work in writer connection files disk compiler clock random lines memory blocks; do
    $work &
done
answer
# Only what is on the disk is read after this.
sync
echo 3 > /proc/sys/vm/drop_caches
recheck /work
mount -o remount,ro / || fault "the disk is still written to"
for work in writer files disk compiler random lines memory blocks; do
    done="$done $work $(cat /tmp/count-$work)"
done
verdict "times of$done"
