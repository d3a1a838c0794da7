# Makes a clone of a template a machine of its own, before anybody can log in to it.
#
# Read and compiled by the interpreter that waits in a template (resident.pl), after common.pl. Random numbers come first:
# kernels before 5.20 don't notice that they were cloned and would make the same keys twice.

# Programs cost tenths of a second of an emulated CPU each; the kernel's own calls cost nothing. Numbers of x86-64.
sub kernel {
    my ($name, $number, @arguments) = @_;
    syscall($number, @arguments) == 0 or die "$name: $!\n";
}

# random(4): RNDADDENTROPY takes bits, bytes and the bytes; RNDRESEEDCRNG makes the kernel use them now.
sub reseed {
    open(my $random, '+<', '/dev/random') or die "/dev/random: $!\n";
    my $seed = pack('H*', $p{seed});
    my $entropy = pack('ii', 8 * length $seed, length $seed) . $seed;
    ioctl($random, 0x40085203, $entropy) or die "RNDADDENTROPY: $!\n";
    ioctl($random, 0x5207, 0) or die "RNDRESEEDCRNG: $!\n";
}

# sshd reads its keys for each connection anew. What its first process read at start is the configuration.
sub configure_sshd {
    my ($sshd) = content('/run/sshd.pid') =~ /^(\d+)$/m or die "sshd does not run\n";
    kill $p{password_login} ? 'HUP' : 0, $sshd or die "sshd does not run: $!\n";
}

# clock_settime(2) of CLOCK_REALTIME
sub set_clock {
    my ($seconds, $nanoseconds) = split /\./, $p{time};
    my $time = pack('q2', $seconds, $nanoseconds);
    kernel('clock_settime', 227, 0, $time);
}

sub number_it {
    put('/etc/machine-id', "$p{machine_id}\n", 0444);
    # The firmware's tables are in memory and so the template's; cloud-init and users look here for the vmId.
    put('/run/skerry-product-uuid', "$p{vm}\n", 0400);
    my ($from, $to) = ('/run/skerry-product-uuid', '/sys/class/dmi/id/product_uuid');
    kernel('mount', 165, $from, $to, 0, 0x1000, 0);
}

sub interface {
    for my $path (glob '/sys/class/net/*') {
        return $path =~ s{.*/}{}r if content("$path/address") eq "$p{template_mac}\n";
    }
    die "no interface has the address $p{template_mac}\n";
}

# 17: EEXIST, of a route that is there already.
sub ask_network {
    my ($socket, $request, $what, $argument) = @_;
    return ioctl($socket, $request, $argument) || $! == 17 || die "$what: $!\n";
}

sub inet { return pack('SxxC4x8', 2, split /\./, $_[0]) }

# The address is set at once; DHCP follows by itself when the link comes up, and confirms it. netdevice(7), rtentry in
# linux/route.h.
sub connect_it {
    my $name = interface();
    my ($address, $bits) = split m{/}, $p{address};
    my $mask = join '.', unpack('C4', pack('N', 0xffffffff << (32 - $bits) & 0xffffffff));
    socket(my $socket, 2, 2, 0) or die "socket: $!\n";
    my $mac = pack('H12', $p{mac} =~ tr/://dr);
    ask_network($socket, 0x8924, 'SIOCSIFHWADDR', pack('a16Sa6x16', $name, 1, $mac));
    ask_network($socket, 0x8914, 'SIOCSIFFLAGS', pack('a16sx22', $name, 0x1003));
    ask_network($socket, 0x8916, 'SIOCSIFADDR', pack('a16a16x8', $name, inet($address)));
    ask_network($socket, 0x891c, 'SIOCSIFNETMASK', pack('a16a16x8', $name, inet($mask)));
    my $default = pack('x8a16a16a16Sx6x16sx6px24', inet('0.0.0.0'), inet($p{gateway}), inet('0.0.0.0'), 3, 4097, $name);
    ask_network($socket, 0x890b, 'SIOCADDRT', $default);
}

# systemd's D-Bus socket (the specification's "Authentication Protocol"). It must have answered before it is told more.
sub open_bus {
    socket(my $bus, 1, 1, 0) or die "socket: $!\n";
    connect($bus, pack('Sa*x', 1, '/run/systemd/private')) or die "/run/systemd/private: $!\n";
    syswrite $bus, "\0AUTH EXTERNAL 30\r\n";
    sysread $bus, my $answer, 4096;
    syswrite $bus, "BEGIN\r\n";
    return $bus;
}

# A field of a call's header, padded as the next one needs it; code and type are the specification's ("Message Format").
sub bus_field { return pack('CCaxV/a*xx!8', $_[0], 1, @_[1, 2]) }

# What a first login waits for longest, a second of an emulated CPU, begins here beside all the rest. No program is
# started for that: systemd is asked itself, by a connection from `open_bus`.
sub start_user_manager {
    my ($bus, $uid) = @_;
    my $fields = bus_field(1, 'o', '/org/freedesktop/systemd1') . bus_field(2, 's', 'org.freedesktop.systemd1.Manager')
        . bus_field(3, 's', 'StartUnit') . pack('CCaxC/a*x', 8, 1, 'g', 'ss');
    my $body = pack('V/a*xx!4V/a*x', "user\@$uid.service", 'replace');
    syswrite $bus, pack('aC3VVV/a*x!8', 'l', 1, 1, 1, length $body, 1, $fields) . $body;
}

# cloud-init has nothing to do in a clone but to run the user's custom data. Its keys are made, so it must not make them
# again; and without custom data it has no instance to come back to at the next boot, so it is turned off.
sub direct_cloud_init {
    if ($p{custom}) {
        put($CLONE_CONFIG, "ssh_deletekeys: false\n");
    }
    else {
        put($CLOUD_INIT_OFF, $WHY_OFF);
    }
}

# Makes the machine its own; returns the command for the rest, which can wait for the first login, and yields to it.
sub personalise {
    my ($bus, $told) = @_;
    take($told);
    reseed();
    set_clock();
    number_it();
    name_it();
    start_user_manager($bus, admin());
    connect_it();
    host_key();
    configure_sshd();
    direct_cloud_init();
    my $priority = $p{custom} ? '--nice=5' : '-pCPUSchedulingPolicy=idle';
    my @unit = ('--quiet', '--no-block', '--unit=skerry-first-boot', $priority);
    return ('systemd-run', @unit, '/bin/sh', '-c', $p{later}, 'first-boot', $p{custom} ? 'custom' : '');
}
