# Each thing that test/chaos/chaos.pl looks at after a round, broken on purpose, is
# found.

use strict;
use warnings;

use FindBin qw($RealBin);

# Without TapmigTest, whose modules send this process's output to a log.
exec $^X, "$RealBin/../chaos/chaos.pl", '--plant'
  or die "test/chaos/chaos.pl: $!";
