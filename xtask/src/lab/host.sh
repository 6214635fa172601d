#!/bin/busybox sh
# The first program of a lab machine: mounts what every program expects, brings up KVM and the network, and lets the lab begin.
/bin/busybox --install -s /bin
mount -t devtmpfs none /dev
mount -t proc none /proc
mount -t sysfs none /sys
mount -t tmpfs none /tmp
ip link set lo up
while read -r module options; do
    insmod "/modules/$module" $options
done < /modules/order
# Where the guests' network cards are; each process takes hold of it for as long as it has the guest. With the other
# lab machine it is one network.
brctl addbr bridge
tunctl -t tap0 > /dev/null
for card in tap0 eth0; do
    [ -e /sys/class/net/$card ] && brctl addif bridge $card && ip link set $card up
done
ip link set bridge up
# Guests in huge pages: those of the pool, for the two ends of a migration, or those that the kernel gives to who asks.
case $trial in
    writer) echo 112 > /proc/sys/vm/nr_hugepages ;;
    link) echo advise > /sys/kernel/mm/transparent_hugepage/shmem_enabled ;;
esac
if [ -n "$host" ]; then
    # All of the disk is in this host's memory, and stays there as long as somebody has it open. What the other host writes
    # makes it old: a guest that comes must not be shown it.
    exec 3< /dev/vda
    cat <&3 > /dev/null
fi
if [ "$host" = 2 ]; then
    ip addr add 10.9.0.3/24 dev bridge
    ln -s identity-2 /etc/identity
    xtask lab-inside serve
    poweroff -f
fi
ip addr add 10.9.0.1/24 dev bridge
ln -s identity-1 /etc/identity
if [ "$lab" = shell ]; then
    echo "Landfall is /bin/landfall, the kernel is /boot/vmlinuz, a guest starts with /boot/guest, and its disk is /dev/vda."
    echo "This host is known by /etc/identity. With two hosts 'there COMMAND' runs a command at the other. 'exit' ends the lab."
    setsid cttyhack sh
else
    xtask lab-inside trial $trial
fi
poweroff -f
