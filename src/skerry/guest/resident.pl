# Follows personalise.pl, which defines `personalise`: waits in a template, read and compiled, to be told who the clone is.
#
# The parameters come by one named pipe, the outcome goes by another: `done`, or why it failed. What is left to do is done
# once the first login, which it would slow down, is likely to be over; the user's custom data doesn't wait.
my @loaded = glob '/etc/s*';
my $bus = open_bus();

open(my $in, '<', '/run/skerry/parameters') or die "/run/skerry/parameters: $!\n";
my $told = <$in>;
close $in;
my @later = eval { personalise($bus, $told) };
my $outcome = $@ || "done\n";
open(my $out, '>', '/run/skerry/outcome') or die "/run/skerry/outcome: $!\n";
print $out $outcome;
close $out;
unlink '/run/skerry/parameters', '/run/skerry/outcome', '/run/skerry/resident.pl';
rmdir '/run/skerry';
exit if !@later;
sleep 20 if !$p{custom};
exec @later;
