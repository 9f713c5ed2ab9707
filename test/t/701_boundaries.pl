# A part of test/chaos/boundaries.pl, another one each time; "make chaos
# ARGS=boundaries" makes all of its trials.

use strict;
use warnings;

use FindBin qw($RealBin);

# Without TapmigTest, whose modules send this process's output to a log.
exec $^X, "$RealBin/../chaos/boundaries.pl", '--seconds', 45, '--jobs', 2
  or die "test/chaos/boundaries.pl: $!";
