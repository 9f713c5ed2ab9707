# The stampede of 300_stampede through pgbouncer in transaction mode: a client's
# next call may come to another server session.

use strict;
use warnings;

use TapmigClients;
use TapmigTest;
use Test::More;

my ($n_clients, $n_versions) = (50, 50);
# One round's sessions may be there still when the next one's come.
my $node = tapmig_node('main', conf => "max_connections = 250\n");
my $user = sql_value($node, 'SELECT current_user');
my %calls = (
	apply => 'SELECT tapmig.apply($1, $2, track => $3)',
	run   => 'CALL tapmig.run($1, $2, track => $3)');

my $first_bouncer = bouncer($node, 5);
plan(skip_all => 'pgbouncer is not installed') unless defined $first_bouncer;

for my $pool (5, 20)
{
	my $bouncer = $pool == 5 ? $first_bouncer : bouncer($node, $pool);

	for my $how (sort keys %calls)
	{
		my $name  = "$how, pool of $pool";
		my $db    = tapmig_database($node, "pool $how $pool");
		my $track = 'app';
		my @versions = map {
			[   sprintf('%03d', $_),
				($_ == 1 ? 'CREATE TABLE effects (version int);' : '')
				  . "INSERT INTO effects VALUES ($_)",
				$track ]
		} 1 .. $n_versions;

		my $told = clients($node, $n_clients, sub {
			my ($session) = @_;
			my %pids;

			my @lines = map {
				my $r = $session->try($calls{$how}, bind => $_);
				$pids{ $session->try('SELECT pg_backend_pid()')->{value} }++;
				$r->{ok} ? $r->{value} : "$r->{sqlstate} $r->{message}"
			} @versions;
			return (@lines, 'sessions ' . join(' ', keys %pids));
		}, dbname => $db, through => $bouncer, gate => $pool, user => $user);

		my (%pids, %count);
		my $roamed = 0;
		for my $lines (@$told)
		{
			my @pids = split ' ', pop(@$lines) =~ s/^sessions //r;
			$pids{$_} = 1 for @pids;
			$roamed++ if @pids > 1;
			$count{$_}++ for @$lines;
		}
		is_deeply(\%count,
			{ applied => $n_versions, skipped => $n_versions * ($n_clients - 1) },
			"$name: each client is told applied or skipped, and each migration applied once");
		cmp_ok(scalar(keys %pids), '<=', $pool, "$name: they shared the pool's sessions");
		cmp_ok($roamed, '>', 0, "$name: clients changed sessions between calls");
		is_deeply(
			sql_try($node, 'SELECT version, count(*) FROM effects GROUP BY 1 ORDER BY 1', dbname => $db)->{rows},
			[ map { [ $_, 1 ] } 1 .. $n_versions ], "$name: each ran once");
		is_deeply(
			sql_try($node, q{SELECT track, version, event FROM tapmig.history ORDER BY seq}, dbname => $db)->{rows},
			[ map { [ $track, $_->[0], 'applied' ] } @versions ], "$name: history");
		is(sql_value($node, q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 3}),
			0, "$name: nobody holds a migration lock");
		verify_is_clean($node, $name, dbname => $db);
	}
	$bouncer->stop;
}

done_testing();
