# Run first in a machine that continues from a checkpoint, after common.pl and personalise.pl: random numbers and the
# clock; a fork also becomes its own. A machine that was put back to a checkpoint of its own gets no `vm`: it is the same.

sub change { my ($path, $text) = @_; put($path, $text) if $text ne content($path) }

# Of the kinds that the machine has; the usual one was made by the host, which takes no time here.
sub host_keys {
    my @others = grep { $_ ne 'ed25519' } map { /ssh_host_(\w+)_key$/ } glob '/etc/ssh/ssh_host_*_key';
    host_key();
    for my $kind (@others) {
        my @key = ('-t', $kind, '-N', '', '-C', '', '-f', "/etc/ssh/ssh_host_${kind}_key");
        system('ssh-keygen', '-q', @key) == 0 or die "ssh-keygen failed with $?\n";
    }
}

# What names the interface by its old address would look for it in vain at the next start.
sub rename_address {
    my ($old, $new) = @_;
    my @places = ('/etc/systemd/network', '/run/systemd/network', '/etc/netplan', '/etc/udev/rules.d',
        '/etc/network/interfaces.d', '/etc/NetworkManager/system-connections');
    for my $path (grep { -f } map { glob "$_/*" } @places) {
        change($path, content($path) =~ s/\Q$old\E/$new/gir);
    }
}

sub connect_all {
    for my $nic (split /\n/, $p{nics}) {
        @p{'template_mac', 'mac', 'address', 'gateway'} = split / /, $nic;
        rename_address($p{template_mac}, $p{mac});
        connect_it();
    }
}

# cloud-init remembers by the instance's id what it has done: all of that was done here.
sub provisioned {
    my $cloud = '/var/lib/cloud';
    my $old = content("$cloud/data/instance-id") =~ s/\s+$//r;
    return if $old eq '' || $old eq $p{vm} || !-d "$cloud/instances/$old";
    rename "$cloud/instances/$old", "$cloud/instances/$p{vm}" or die "$cloud/instances/$p{vm}: $!\n";
    unlink "$cloud/instance";
    symlink "$cloud/instances/$p{vm}", "$cloud/instance" or die "$cloud/instance: $!\n";
    put("$cloud/data/$_", "$p{vm}\n") for 'instance-id', 'previous-instance-id';
    put("$cloud/data/previous-hostname", "$p{hostname}\n") if -e "$cloud/data/previous-hostname";
    my $seed = '/var/lib/waagent/ovf-env.xml';
    change($seed, content($seed) =~ s{(<(?:\w+:)?HostName>)[^<]*}{$1$p{hostname}}r) if -e $seed;
}

take($main::parameters);
reseed();
set_clock();
exit 0 unless $p{vm};

number_it();
name_it();
connect_all();
host_keys();
provisioned();

# The rest can wait for the first login: a journal under the new machine-id, and leases that are this machine's own.
if (-d '/run/systemd/system') {
    my $later = 'systemctl try-restart systemd-journald systemd-networkd
        ip route show default proto dhcp | grep -q . && ip route delete default metric 4096';
    my @unit = ('--quiet', '--no-block', '--unit=skerry-fork', '-pCPUSchedulingPolicy=idle');
    system('systemd-run', @unit, '/bin/sh', '-c', $later) == 0 or die "systemd-run failed with $?\n";
}
