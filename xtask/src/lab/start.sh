#!/bin/busybox sh
# The first program of a guest in the lab: loads what its devices need, and goes on from its disk if it needs what is there.
/bin/busybox --install -s /bin
mount -t devtmpfs none /dev
while read -r module options; do
    insmod "/modules/$module" $options
done < /modules/order
case $lab in work | outrun)
    mount -t ext4 /dev/vda /disk
    mount --move /dev /disk/dev
    exec switch_root /disk /init
    ;;
esac
exec /guest
