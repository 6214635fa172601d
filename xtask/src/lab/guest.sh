#!/bin/busybox sh
# The first program of a guest in the lab: works and checks itself until it is told to finish, then says what it found.
/bin/busybox --install -s /bin
mount -t devtmpfs none /dev
mount -t proc none /proc
mount -t sysfs none /sys
mount -t tmpfs none /tmp

source=$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)
echo "guest: up with $(nproc) processors, time by $source"
[ "$lab" = power-off ] && poweroff -f
# Without its first program a kernel cannot go on. It waits until it was heard: a crash tears what is on its way apart.
[ "$lab" = crash ] && read -r _ && exit 1

fault() {
    echo "$*" >> /tmp/faults
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

files &
clock &
memory &
echo "guest: at work"
# What is typed in is said back, so that whoever types knows that the guest is there.
while read -r word && [ "$word" != finish ]; do
    echo "guest: $word"
done
touch /tmp/finish
wait

dmesg | grep -iE 'stall|lockup|hung task|backwards|BUG:|Oops|WARNING:' > /tmp/trouble &&
    fault "the kernel complains: $(cat /tmp/trouble)"
if [ -e /tmp/faults ]; then
    sed 's/^/guest: fault: /' /tmp/faults
    echo "guest: checked, with faults"
else
    echo "guest: checked, all right: $(cat /tmp/files) files, $(cat /tmp/memory) runs of memtester"
fi
poweroff -f
