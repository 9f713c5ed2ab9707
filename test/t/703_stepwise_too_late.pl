# A cancel at each place of a stepwise run whose last word is a WARNING: behind the
# last commit the script is applied, and its attempt with it, whatever comes then.

use strict;
use warnings;

use FindBin qw($RealBin);

# Without TapmigTest, whose modules send this process's output to a log.
exec $^X, "$RealBin/../chaos/boundaries.pl", '--kinds', 'loses', '--sides', 'worker', '--hows', 'cancel', '--jobs', 1
  or die "test/chaos/boundaries.pl: $!";
