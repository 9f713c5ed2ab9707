# A few rounds of test/chaos/chaos.pl, a new seed each time; "make chaos" plays
# more of them.

use strict;
use warnings;

use FindBin qw($RealBin);

# Without TapmigTest, whose modules send this process's output to a log.
exec $^X, "$RealBin/../chaos/chaos.pl", '--rounds', 6, '--seconds', 40, '--window', 2
  or die "test/chaos/chaos.pl: $!";
