# What the scripts that give a machine its identity share; one of them follows. It needs nothing but perl-base.
use strict;
use warnings;

# What the host tells: hex of name, NUL, value, NUL …
my %p;

sub take { %p = split /\0/, pack('H*', $_[0]), -1 }

my $CLOUD_INIT_OFF = '/etc/cloud/cloud-init.disabled';
my $CLONE_CONFIG = '/etc/cloud/cloud.cfg.d/95_skerry_clone.cfg';
my $WHY_OFF = "Skerry gave this machine its identity; there was nothing for cloud-init to do.\n";

sub content { open(my $file, '<', $_[0]) or return ''; local $/; return scalar <$file> }

sub put {
    my ($path, $text, $mode) = @_;
    open(my $file, '>', $path) or die "$path: $!\n";
    print $file $text;
    close($file) or die "$path: $!\n";
    chmod $mode, $path if defined $mode;
}

sub append { open(my $file, '>>', $_[0]) or die "$_[0]: $!\n"; print $file $_[1]; close($file) or die "$_[0]: $!\n" }

sub host_key {
    unlink glob '/etc/ssh/ssh_host_*';
    put('/etc/ssh/ssh_host_ed25519_key', $p{host_key}, 0600);
    put('/etc/ssh/ssh_host_ed25519_key.pub', $p{host_key_public}, 0644);
}

sub name_it {
    put('/etc/hostname', "$p{hostname}\n");
    put('/proc/sys/kernel/hostname', $p{hostname});
    my $hosts = content('/etc/hosts');
    $hosts =~ s/^127\.0\.1\.1\s.*\n//mg;
    put('/etc/hosts', $hosts . "127.0.1.1 $p{hostname}\n");
}

# useradd(8) takes a second of an emulated CPU, and nobody else uses its files now. An image that was made of somebody's
# machine may have users: one of the same name gets keys and password, as Azure's agents do it.
sub admin {
    my ($user, $hash) = ($p{user}, $p{password_hash} || '!');
    my ($uid, $gid, $home) = content('/etc/passwd') =~ /^\Q$user\E:[^:]*:(\d+):(\d+):[^:]*:([^:]*):/m;
    if (defined $uid) {
        put('/etc/shadow', content('/etc/shadow') =~ s/^(\Q$user\E:)[^:]*/$1$hash/mr);
    }
    else {
        ($uid, $gid, $home) = add_account($user, $hash);
    }
    join_groups($user, 'adm', 'sudo');
    -d "$home/.ssh" or mkdir "$home/.ssh", 0700 or die "$home/.ssh: $!\n";
    put("$home/.ssh/authorized_keys", $p{ssh_keys}, 0600);
    chown $uid, $gid, "$home/.ssh", "$home/.ssh/authorized_keys";
    put('/etc/sudoers.d/90-cloud-init-users', "$user ALL=(ALL) NOPASSWD:ALL\n", 0440);
    put('/etc/ssh/sshd_config.d/50-cloud-init.conf', "PasswordAuthentication yes\n") if $p{password_login};
    return $uid;
}

sub add_account {
    my ($user, $hash) = @_;
    my %taken = map { $_ => 1 } (content('/etc/passwd') . content('/etc/group')) =~ /^[^:\n]*:[^:\n]*:(\d+):/mg;
    my ($id, $home) = (1000, "/home/$user");
    $id++ while $taken{$id};
    append('/etc/passwd', "$user:x:${id}:${id}::$home:/bin/bash\n");
    append('/etc/group', "$user:x:$id:\n");
    append('/etc/gshadow', "$user:!::\n");
    append('/etc/shadow', "$user:$hash:" . int(time / 86400) . ":0:99999:7:::\n");
    # For containers: 65,536 ids for each user, from 100,000 on, as useradd has it.
    append($_, "$user:" . (100_000 + 65_536 * ($id - 1000)) . ":65536\n") for '/etc/subuid', '/etc/subgid';
    -d $home or mkdir $home, 0755 or die "$home: $!\n";
    for my $path (glob '/etc/skel/.[!.]*') {
        put("$home/" . $path =~ s{.*/}{}r, content($path), 0644);
    }
    chown $id, $id, $home, glob "$home/.[!.]*";
    return ($id, $id, $home);
}

sub join_groups {
    my ($user, @names) = @_;
    for my $file ('/etc/group', '/etc/gshadow') {
        my $text = content($file);
        for my $name (@names) {
            $text =~ s/^($name:[^:\n]*:[^:\n]*:)(?!(?:[^\n]*,)?\Q$user\E(?:,|$))([^\n]*)$/$1 . ($2 eq '' ? $user : "$2,$user")/me;
        }
        put($file, $text);
    }
}
