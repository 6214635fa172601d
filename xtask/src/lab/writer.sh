#!/bin/busybox sh
# The first program of a guest that writes to its memory as fast as it can, until it is told to go slow or to finish.
/bin/busybox --install -s /bin
mount -t devtmpfs none /dev
mount -t proc none /proc
mount -t tmpfs none /tmp

# Memory that QEMU has to send as it is.
head -c 4194304 /dev/urandom > /tmp/part

# Rewrites 64 MiB, over and over. Told to go slow it rewrites 768 KiB of it at a time, now and then.
work() {
    count=0
    while [ ! -e /tmp/finish ]; do
        if [ -e /tmp/slow ]; then
            from=$((count / 16 % 5 * 3))
            to=$((count % 16 * 16 + from))
            dd if=/tmp/part of=/tmp/load bs=256k count=3 skip=$from seek=$to conv=notrunc 2> /dev/null
            usleep 200000
        else
            for place in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
                dd if=/tmp/part of=/tmp/load bs=4M seek=$place conv=notrunc 2> /dev/null
            done
        fi
        count=$((count + 1))
        echo "guest: $count"
    done
}

# What is typed in would tear lines apart.
stty -echo
work &
while [ ! -e /tmp/finish ] && read -r word; do
    touch "/tmp/$word"
    echo "told: $word"
done
wait
for place in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do cat /tmp/part; done | cmp - /tmp/load && echo "guest: whole"
poweroff -f
