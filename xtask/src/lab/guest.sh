#!/bin/busybox sh
# The first program of a guest in the lab: works and checks itself until it is told to finish, then says what it found.
/bin/busybox --install -s /bin
mount -t devtmpfs none /dev
mount -t proc none /proc
mount -t sysfs none /sys
mount -t tmpfs none /tmp

while read -r module options; do
    insmod "/modules/$module" $options
done < /modules/order

source=$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)
echo "guest: up with $(nproc) processors, time by $source"
# Without its first program a kernel cannot go on. It waits until it was heard: a crash tears what is on its way apart.
[ "$lab" = crash ] && read -r _ && exit 1

fault() {
    echo "$*" >> /tmp/faults
}

# Reads what was written to the disk.
recheck() {
    for file in /disk/file-?; do
        [ "$(sha1sum < "$file")" = "$(cat "$file.sum")" ] || fault "$file is not on the disk as it was written"
    done
}

mkdir /disk
if [ "$lab" = read ]; then
    mount -t ext4 -o ro /dev/vda /disk || fault "the disk is none"
    echo x 2> /tmp/refusal > /dev/vda && fault "the disk can be written to"
    recheck
    [ -e /tmp/faults ] && sed 's/^/guest: fault: /' /tmp/faults
    echo "guest: read $(ls /disk | grep -c sum) files"
    poweroff -f
fi
# Rewrites memory as fast as it can, which is faster than a slow link carries it, now with one content and now with another.
writer() {
    count=0
    while [ ! -e /tmp/finish ]; do
        for content in /tmp/one /tmp/other; do
            dd if=$content of=/tmp/rewritten bs=1048576 conv=notrunc 2> /tmp/said || fault "nothing was written: $(cat /tmp/said)"
        done
        count=$((count + 1))
    done
    cmp -s /tmp/other /tmp/rewritten || fault "what was written is not there"
    echo "$count" > /tmp/rewritings
}

# Says back what is typed in, so that whoever types knows that the guest is there.
answer() {
    while read -r word && [ "$word" != finish ]; do
        echo "guest: $word"
    done
    touch /tmp/finish
    wait
}

# Says what was found, and ends.
verdict() {
    dmesg | grep -iE 'stall|lockup|hung task|backwards|BUG:|Oops|WARNING:' > /tmp/trouble &&
        fault "the kernel complains: $(cat /tmp/trouble)"
    if [ -e /tmp/faults ]; then
        sed 's/^/guest: fault: /' /tmp/faults
        echo "guest: checked, with faults"
    else
        echo "guest: checked, all right: $*"
    fi
    poweroff -f
}

if [ "$lab" = writer ]; then
    head -c 8388608 /dev/urandom > /tmp/one
    head -c 8388608 /dev/urandom > /tmp/other
    sums=$(cat /tmp/one /tmp/other | sha1sum)
    cp /tmp/one /tmp/rewritten
    writer &
    echo "guest: at work"
    answer
    [ "$(cat /tmp/one /tmp/other | sha1sum)" = "$sums" ] || fault "what was left alone has changed"
    verdict "$(cat /tmp/rewritings) rewritings"
fi
mke2fs -F /dev/vda > /tmp/made 2>&1 && mount -t ext4 /dev/vda /disk || fault "there is no disk: $(cat /tmp/made)"

# What comes on a connection to the outside goes back there, for as long as there is something.
connection() {
    ip addr add 10.9.0.2/24 dev eth0 && ip link set eth0 up || fault "there is no network"
    nc 10.9.0.1 5000 -e cat || fault "the connection is lost"
}

# Writes files, copies them, and reads both again.
files() {
    count=0
    while [ ! -e /tmp/finish ]; do
        head -c 1000000 /dev/urandom > /tmp/original
        sum=$(sha1sum < /tmp/original)
        cp /tmp/original /tmp/copy
        [ "$(sha1sum < /tmp/copy)" = "$sum" ] || fault "a copy differs from its original"
        [ "$(sha1sum < /tmp/original)" = "$sum" ] || fault "a file has changed"
        count=$((count + 1))
    done
    echo "$count" > /tmp/files
}

# Writes files to the disk, and reads each again from there and not from memory.
disk() {
    count=0
    while [ ! -e /tmp/finish ]; do
        file=/disk/file-$((count % 8))
        head -c 300000 /dev/urandom > /tmp/made
        sha1sum < /tmp/made > "$file.sum"
        dd if=/tmp/made of="$file" bs=64k conv=fsync 2> /tmp/said || fault "a file cannot be written: $(cat /tmp/said)"
        echo 1 > /proc/sys/vm/drop_caches
        [ "$(sha1sum < "$file")" = "$(cat "$file.sum")" ] || fault "$file is not what was written"
        count=$((count + 1))
    done
    echo "$count" > /tmp/written
}

# Reads the time, which must never go back, whichever processor reads it.
clock() {
    last=0
    while [ ! -e /tmp/finish ]; do
        read -r now _ < /proc/uptime
        now=${now%.*}${now#*.}
        [ "$now" -ge "$last" ] || fault "the time went back from $last to $now"
        last=$now
        usleep 1000
    done
}

# Draws random numbers from the host, which must be others every time.
random() {
    count=0
    last=
    case $(cat /sys/class/misc/hw_random/rng_current) in virtio*) ;; *) fault "the host gives no random numbers" ;; esac
    while [ ! -e /tmp/finish ]; do
        dd if=/dev/hwrng of=/tmp/drawn bs=64 count=1 2> /tmp/said
        [ "$(wc -c < /tmp/drawn)" = 64 ] || fault "no random numbers came: $(cat /tmp/said)"
        now=$(sha1sum < /tmp/drawn)
        [ "$now" != "$last" ] || fault "random numbers came twice"
        last=$now
        count=$((count + 1))
        usleep 100000
    done
    echo "$count" > /tmp/random
}

# A program that is not ours checks memory, over and over.
memory() {
    count=0
    while [ ! -e /tmp/finish ]; do
        MEMTESTER_TEST_MASK=0x7f memtester 512K 1 > /tmp/memtester 2>&1 ||
            fault "memtester failed: $(tail -n 3 /tmp/memtester)"
        count=$((count + 1))
    done
    echo "$count" > /tmp/memory
}

connection &
files &
disk &
clock &
random &
memory &
echo "guest: at work"
answer
umount /disk && mount -t ext4 -o ro /dev/vda /disk || fault "the disk does not come back"
recheck
verdict "$(cat /tmp/files) files, $(cat /tmp/written) on the disk, $(cat /tmp/random) random numbers, $(cat /tmp/memory) runs of memtester"
