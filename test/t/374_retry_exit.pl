# A process that ends in the middle of a try: the timer that watches its waits
# must not tick when what it looks at is gone, or it takes the server down.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $node   = tapmig_node('main');
my $rounds = 60;
my $n      = 0;

sql_try($node, 'CREATE TABLE t (a int)');

# Terminates whoever runs the script; false when the server has gone. A short
# lock_timeout lets the timer tick every 5 ms.
sub end_in_script
{
	my ($call, $who) = @_;

	return eval {
		my $s = session($node, options => '-c tapmig.lock_timeout=200ms');
		$s->start($call);
		wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $who)") or die "it does not run: $call";
		sql_value($node, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE $who");
		$s->finish;
		1;
	};
}

my %end = (
	'a backend' => sub {
		end_in_script("SELECT tapmig.apply('$n', 'SELECT pg_sleep(60)')",
			"backend_type = 'client backend' AND query LIKE 'tapmig main/$n: statement 1%'");
	},
	'a worker' => sub {
		end_in_script("CALL tapmig.run('$n', 'VACUUM t; SELECT pg_sleep(60);')",
			"backend_type = 'tapmig worker' AND query LIKE 'tapmig main/$n: statement 2%'");
	});

for my $what (sort keys %end)
{
	my $ended = 0;

	while ($ended < $rounds)
	{
		$n++;
		last unless $end{$what}->();
		$ended++;
	}
	is($ended, $rounds, "$what: terminated in the middle of a script, often");
	unlike(read_file($node->logfile), qr/was terminated by signal/, "$what: the server stays up");
}

done_testing();
