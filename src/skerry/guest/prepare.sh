# Run as root in a template that idles at its login, before its memory is saved: what a clone must not share goes,
# what its first login needs is read into memory once.
set -eu

[ "$(systemctl show --property=ConditionResult --value cloud-init.service)" = no ] || { echo "cloud-init ran" >&2; exit 3; }

# sshd has to run to be there at once. Its key is a passing one: clones make their own before they listen to anybody.
ssh-keygen -q -t ed25519 -N '' -C '' -f /etc/ssh/ssh_host_ed25519_key
systemctl reset-failed ssh.service
systemctl start ssh.service

useradd --create-home --shell /bin/bash warm-up
su - warm-up -c 'mkdir -m 700 .ssh && ssh-keygen -q -t ed25519 -N "" -f .ssh/id_ed25519 && cp .ssh/id_ed25519.pub .ssh/authorized_keys'
echo 'warm-up ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/warm-up
su - warm-up -c 'ssh -o BatchMode=yes -o StrictHostKeyChecking=no localhost sudo true'
perl -e 1
# logind would stop the systemd of the clone's user, whose number is the same, when this one's time is up.
loginctl terminate-user warm-up || true
while loginctl --no-legend list-users | grep -q warm-up; do sleep 0.2; done
userdel --remove --force warm-up 2>/dev/null
rm -f /etc/sudoers.d/warm-up /etc/ssh/ssh_host_*

rm -f /etc/machine-id /var/lib/systemd/random-seed /var/lib/dhcp/* /root/.bash_history
journalctl --quiet --rotate --vacuum-time=1s
find /var/log -type f -exec truncate --size=0 {} +

# A clone's first login comes before what these have to do in a new network; first_boot.sh ends that. The last one, where
# there is one, waits half a minute for more file systems to check, and would end during a login.
renice -n 19 -p $(pidof systemd-resolved systemd-timesyncd) >/dev/null
systemctl stop systemd-fsckd.socket systemd-fsckd.service 2>/dev/null || true

# $resident, put before this by the host: what will be told who the clone is.
mkdir -m 700 /run/skerry
mkfifo -m 600 /run/skerry/parameters /run/skerry/outcome
printf %s "$resident" >/run/skerry/resident.pl
systemd-run --quiet --collect --nice=-15 --unit=skerry-identity /usr/bin/perl /run/skerry/resident.pl
sleep 2
sync
