# A few rounds of test/chaos/chaos.pl; "make chaos" runs more of them.

use strict;
use warnings;

use TapmigTest;

exec $^X, top_dir() . '/test/chaos/chaos.pl', '--rounds', 6, '--seconds', 50, '--window', 2 or die $!;
