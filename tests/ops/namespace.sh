# What systemd.py runs as the first process of its namespaces: a small root of its own, then a user manager.
# $1 project, $2 folder of Python's packages, $3 Python's prefix, $4 units, $5 folder that both sides see
set -eu
mount -t tmpfs tmpfs /opt
mkdir -p /opt/hera/bin /opt/hera/project /opt/hera/packages /opt/hera/python /opt/units /opt/out
mount --bind "$1" /opt/hera/project
mount --bind "$2" /opt/hera/packages
mount --bind "$3" /opt/hera/python
mount --bind "$5" /opt/out
cp "$4"/* /opt/units
mv /opt/out/hera /opt/hera/bin/hera

# nothing reaches the machine's own
for folder in /run /tmp /var/tmp /var/lib; do mount -t tmpfs tmpfs $folder; done
chmod 1777 /tmp /var/tmp
mkdir -p /run/systemd/system /run/systemd/inaccessible /run/manager /run/generators /run/home /run/etc
# what units see in place of what they may not; where there is a system manager it has made it
(cd /run/systemd/inaccessible && mkdir -m 0 dir && mkfifo -m 0 fifo && mknod -m 0 chr c 0 0 && mknod -m 0 blk b 0 0 \
    && : > reg && chmod 0 reg && /opt/hera/python/bin/python3 -c 'import socket as s; s.socket(s.AF_UNIX).bind("sock")')
cp -a /etc/. /run/etc
mount --bind /run/etc /etc
systemd-sysusers /opt/units/hera.sysusers.conf
mkdir -p /etc/hera
mv /opt/out/hera.env /etc/hera/hera.env

for target in basic sockets paths timers shutdown default exit; do
    printf '[Unit]\nDescription=stub\nDefaultDependencies=no\n' > /opt/units/$target.target
done
for unit in hera- hera; do
    mkdir /opt/units/$unit.service.d
    printf '[Service]\nStandardOutput=append:/opt/out/%%n.log\nStandardError=append:/opt/out/%%n.log\n' \
        > /opt/units/$unit.service.d/here.conf
done
/opt/hera/python/bin/python3 -c '
import fcntl, socket, struct
with socket.socket() as any:
    fcntl.ioctl(any, 0x8914, struct.pack("16sH14x", b"lo", 0x41))  # SIOCSIFFLAGS: IFF_UP | IFF_RUNNING
'
umask 0  # the units are of another user than their manager, and must reach its socket
/lib/systemd/systemd --user --unit=default.target &
echo up
read -r _ || true  # until the test closes our input, however it ends
