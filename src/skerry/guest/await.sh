# Follows rehearse.sh in a template, which waits from here on to be told who it is.

# A clone's first login comes before what these have to do in a new network; first_boot.sh ends that. The last one, where
# there is one, waits half a minute for more file systems to check, and would end during a login.
renice -n 19 -p $(pidof systemd-resolved systemd-timesyncd) >/dev/null
systemctl stop systemd-fsckd.socket systemd-fsckd.service 2>/dev/null || true

# $resident, put before this by the host: what will be told who the clone is.
mkdir -m 700 /run/skerry
mkfifo -m 600 /run/skerry/parameters /run/skerry/outcome
printf %s "$resident" >/run/skerry/resident.pl
# The administrator will be user 1000, of whose first login this is there already: the runtime directory, for which there
# has to be such a user now, and the unit of that user's systemd, read. useradd would write into the log.
echo 'nobody-yet:x:1000:1000::/:/usr/sbin/nologin' >>/etc/passwd
systemd-run --quiet --collect --nice=-15 --unit=skerry-identity \
    --property=Wants=user-runtime-dir@1000.service --property='After=user-runtime-dir@1000.service user@1000.service' \
    /usr/bin/perl /run/skerry/resident.pl
sed -i /^nobody-yet:/d /etc/passwd
sleep 2
sync
