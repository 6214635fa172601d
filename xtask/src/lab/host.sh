#!/bin/busybox sh
# The first program of a lab machine: mounts what every program expects, brings up KVM, and lets the lab begin.
/bin/busybox --install -s /bin
mount -t devtmpfs none /dev
mount -t proc none /proc
mount -t sysfs none /sys
mount -t tmpfs none /tmp
ip link set lo up
while read -r module options; do
    insmod "/modules/$module" $options
done < /modules/order
# Where the guests' network cards are; each process takes hold of it for as long as it has the guest.
tunctl -t tap0 > /dev/null
ip addr add 10.9.0.1/24 dev tap0
ip link set tap0 up
if [ "$lab" = shell ]; then
    echo "Landfall is /bin/landfall, the kernel is /boot/vmlinuz, a guest's files are /boot/guest. 'exit' ends the lab."
    setsid cttyhack sh
else
    xtask lab-inside $trial
fi
poweroff -f
