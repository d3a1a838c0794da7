# Run first in a machine that continues from a checkpoint: random numbers and the clock; a fork also becomes its own.
#
# It needs nothing but perl-base. $main::parameters (hex of name, NUL, value, NUL …) is put before it by the host; a
# machine that was put back to a checkpoint of its own gets no `vm`, for it is the same machine.
use strict;
use warnings;

our $parameters;
my %p = split /\0/, pack('H*', $parameters), -1;

sub content { open(my $file, '<', $_[0]) or return ''; local $/; return scalar <$file> }

sub put {
    my ($path, $text, $mode) = @_;
    open(my $file, '>', $path) or die "$path: $!\n";
    print $file $text;
    close($file) or die "$path: $!\n";
    chmod $mode, $path if defined $mode;
}

sub change { my ($path, $text) = @_; put($path, $text) if $text ne content($path) }

sub run { system(@_) == 0 or die "$_[0] failed with $?\n" }

# random(4): RNDADDENTROPY takes bits, bytes and the bytes; RNDRESEEDCRNG makes the kernel use them now.
sub reseed {
    open(my $random, '+<', '/dev/random') or die "/dev/random: $!\n";
    my $seed = pack('H*', $p{seed});
    my $entropy = pack('ii', 8 * length $seed, length $seed) . $seed;
    ioctl($random, 0x40085203, $entropy) or die "RNDADDENTROPY: $!\n";
    ioctl($random, 0x5207, 0) or die "RNDRESEEDCRNG: $!\n";
}

# Of the kinds that the machine has; sshd reads them anew at the end.
sub host_keys {
    my @kinds = map { /ssh_host_(\w+)_key$/ } glob '/etc/ssh/ssh_host_*_key';
    unlink glob '/etc/ssh/ssh_host_*';
    my @running;
    for my $kind (@kinds) {
        my $pid = fork() // die "fork: $!\n";
        if ($pid) { push @running, $pid; next }
        exec 'ssh-keygen', '-q', '-t', $kind, '-N', '', '-C', '', '-f', "/etc/ssh/ssh_host_${kind}_key" or exit 1;
    }
    return @running;
}

sub name_it {
    my $old = content('/etc/hostname') =~ s/\s+$//r;
    put('/etc/machine-id', "$p{machine_id}\n", 0444);
    put('/etc/hostname', "$p{hostname}\n");
    put('/proc/sys/kernel/hostname', $p{hostname});
    if ($old ne '') {
        change('/etc/hosts', content('/etc/hosts') =~ s/(?<=\s)\Q$old\E(?=\s)/$p{hostname}/gr);
    }
    # The firmware's tables are in memory and so the other machine's; cloud-init and users look here for the vmId.
    system('umount', '/sys/class/dmi/id/product_uuid') if content('/proc/mounts') =~ m{/dmi/id/product_uuid };
    put('/run/skerry-product-uuid', "$p{vm}\n", 0400);
    run('mount', '--bind', '/run/skerry-product-uuid', '/sys/class/dmi/id/product_uuid');
}

sub interface {
    my ($mac) = @_;
    for my $path (glob '/sys/class/net/*') {
        return $path =~ s{.*/}{}r if content("$path/address") eq "$mac\n";
    }
    die "no interface has the address $mac\n";
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

# Each address is set at once; DHCP follows by itself when the link comes up, and confirms it.
sub connect_it {
    for my $nic (split /\n/, $p{nics}) {
        my ($old, $mac, $address, $gateway) = split / /, $nic;
        my $name = interface($old);
        rename_address($old, $mac);
        run('ip', 'link', 'set', 'dev', $name, 'down');
        run('ip', 'address', 'flush', 'dev', $name);
        run('ip', 'link', 'set', 'dev', $name, 'address', $mac);
        run('ip', 'link', 'set', 'dev', $name, 'up');
        run('ip', 'address', 'replace', $address, 'dev', $name);
        run('ip', 'route', 'replace', 'default', 'via', $gateway, 'dev', $name, 'metric', '4096');
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

reseed();
run('date', '--utc', '--set', "\@$p{time}");
exit 0 unless $p{vm};

my @keys = host_keys();
name_it();
connect_it();
provisioned();
for my $pid (@keys) {
    waitpid $pid, 0;
    die "ssh-keygen failed with $?\n" if $?;
}
my ($sshd) = content('/run/sshd.pid') =~ /^(\d+)$/m;
kill 'HUP', $sshd if $sshd;

# The rest can wait for the first login: a journal under the new machine-id, and leases that are this machine's own.
my $later = 'systemctl try-restart systemd-journald systemd-networkd; ip route show default proto dhcp | grep -q . && ip route delete default metric 4096';
run('systemd-run', '--quiet', '--no-block', '--unit=skerry-fork', '/bin/sh', '-c', $later) if -d '/run/systemd/system';
