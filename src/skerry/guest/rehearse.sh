# Run as root in a template, and again in each clone of it that stands by: somebody logs in, and is forgotten.
set -eu

[ -e /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -q -t ed25519 -N '' -C '' -f /etc/ssh/ssh_host_ed25519_key

useradd --create-home --shell /bin/bash warm-up
su - warm-up -c 'mkdir -m 700 .ssh && ssh-keygen -q -t ed25519 -N "" -f .ssh/id_ed25519 && cp .ssh/id_ed25519.pub .ssh/authorized_keys'
echo 'warm-up ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/warm-up
su - warm-up -c 'ssh -o BatchMode=yes -o StrictHostKeyChecking=no localhost sudo true'
perl -e 1
# logind would stop the systemd of the clone's user, whose number is the same, when this one's time is up.
loginctl terminate-user warm-up || true
while loginctl --no-legend list-users | grep -q warm-up; do sleep 0.2; done
userdel --remove --force warm-up 2>/dev/null
rm -rf /etc/sudoers.d/warm-up /etc/ssh/ssh_host_* /run/user/1000/*

rm -f /etc/machine-id /var/lib/systemd/random-seed /var/lib/dhcp/* /root/.bash_history
journalctl --quiet --sync
journalctl --quiet --rotate
rm -f /var/log/journal/*/*@*.journal /run/log/journal/*/*@*.journal
find /var/log -path /var/log/journal -prune -o -type f -exec truncate --size=0 {} +
