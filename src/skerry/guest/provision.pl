# Makes a machine that boots for the first time its user's, before its network and any login. The image's unit
# skerry-provision.service runs it; what it came to is posted by skerry-ready.service, once there is a network.
#
# With custom data, or several NICs, all of it is cloud-init's to do, and this only lets it.
my $MARK = '/var/lib/skerry/vm';
my $HEALTH = '/run/skerry-health';

sub escaped { return $_[0] =~ s/([^ -%'-;=?-~])/sprintf '&#%d;', ord $1/ger }

# Azure's health report, with which a guest tells its platform how provisioning went.
sub report {
    my ($state, $trouble) = @_;
    my $details = $trouble eq '' ? '' : '<Details><SubStatus>ProvisioningFailed</SubStatus><Description>'
        . escaped($trouble) . '</Description></Details>';
    put($HEALTH, qq{<?xml version="1.0" encoding="utf-8"?><Health><GoalStateIncarnation>1</GoalStateIncarnation><Container>}
        . qq{<ContainerId>$p{vm}</ContainerId><RoleInstanceList><Role><InstanceId>$p{vm}</InstanceId>}
        . qq{<Health><State>$state</State>$details</Health></Role></RoleInstanceList></Container></Health>});
}

sub become {
    name_it();
    admin();
    host_key();
    put($CLOUD_INIT_OFF, $WHY_OFF);
    # A guest that reboots before its QEMU is started anew is told all this again, and must not lose what it is by now; one
    # that is cut off has to begin again.
    system('sync') == 0 or die "sync failed with $?\n";
    -d '/var/lib/skerry' or mkdir '/var/lib/skerry', 0755 or die "/var/lib/skerry: $!\n";
    put($MARK, "$p{vm}\n");
}

take($main::parameters);
my $done = content($MARK) eq "$p{vm}\n";
if (!$done) {
    # They may be left from the machine that this one's image was made of.
    unlink $CLOUD_INIT_OFF if content($CLOUD_INIT_OFF) eq $WHY_OFF;
    unlink $CLONE_CONFIG;
}
exit 0 if exists $p{by_cloud_init};

if ($done or eval { become(); 1 }) {
    report('Ready', '');
}
else {
    print STDERR $@;
    report('NotReady', $@);
    exit 1;
}
