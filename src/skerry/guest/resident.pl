# Waits in a template, its interpreter loaded and warm, for the script that makes a clone a machine of its own.
#
# The script comes by one named pipe, its outcome goes by another: `done`, or why it failed. A script that has more to do
# afterwards leaves a command in $main::later; it is run once the first login, which it would slow down, is likely over.
use strict;
use warnings;

our $resident = 1;
our ($parameters, @later);
my @warm = glob '/etc/s*';

open(my $in, '<', '/run/skerry/script') or die "/run/skerry/script: $!\n";
my $script = do { local $/; <$in> };
close $in;
my $outcome = defined eval "$script; 1" ? "done\n" : $@;
open(my $out, '>', '/run/skerry/outcome') or die "/run/skerry/outcome: $!\n";
print $out $outcome;
close $out;
unlink '/run/skerry/script', '/run/skerry/outcome', '/run/skerry/resident.pl';
rmdir '/run/skerry';
exit if !@later;
sleep 8;
exec @later;
