# Ten runners of `tapmig up` at once over one directory, with the default eight
# worker slots, under each default isolation level. Meanwhile clients call
# tapmig.apply, some of them in a transaction that has a snapshot already.

use strict;
use warnings;

use Time::HiRes ();
use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');

is(sql_value($node, 'SHOW max_worker_processes'), 8, 'eight worker slots');

my %files;
for my $n (1 .. 4)
{
	$files{"00${n}_table.sql"} = "CREATE TABLE t$n AS SELECT g AS a FROM generate_series(1, 1000) g;\n";
	$files{"01${n}_index.sql"} = "INSERT INTO built VALUES ('t${n}_a');\nCREATE INDEX CONCURRENTLY t${n}_a ON t$n (a);\nINSERT INTO built VALUES ('after t${n}_a');\n";
}
my $dir = migrations_dir(\%files);

for my $isolation ('read committed', 'repeatable read', 'serializable')
{
	my $db = tapmig_database($node, 'db_' . ($isolation =~ s/ /_/r));

	sql_try($node, 'CREATE TABLE built (what text)', dbname => $db);
	sql_try($node, "ALTER DATABASE $db SET default_transaction_isolation = '$isolation'");
	my @runners  = map { start_tapmig($node, [ 'up', '--dir', $dir, '--force-empty' ], dbname => $db) } 1 .. 10;
	my @clients  = map { session($node, dbname => $db) } 1 .. 4;
	my $deadline = Time::HiRes::time() + 180;
	my $open     = @runners;
	my $n        = 0;
	my %answers;
	my $slowest = 0;

	while ($open && Time::HiRes::time() < $deadline)
	{
		for my $i (0 .. $#clients)
		{
			my $c = $clients[$i];
			if (!$c->{sent})
			{
				my $call = sprintf("SELECT tapmig.apply('9%05d', 'SELECT 1')", ++$n);
				$call = "ROLLBACK; BEGIN; SELECT count(*) FROM built; $call; COMMIT" if $i % 2;
				$c->{began} = Time::HiRes::time();
				$c->start($call);
			}
			elsif (!$c->busy)
			{
				my $r = $c->finish;
				my $took = Time::HiRes::time() - $c->{began};
				$slowest = $took if $took > $slowest;
				$answers{ $r->{ok} ? 'applied' : $r->{sqlstate} =~ /^(TM004|40001)$/ ? $1 : "$r->{sqlstate} $r->{message}" }++;
			}
		}
		$open = 0;
		for my $r (@runners)
		{
			$r->{h}->pump_nb if $r->{h}->pumpable;
			$open++ if $r->{h}->pumpable;
		}
		Time::HiRes::usleep(2_000);
	}
	is($open, 0, "$isolation: all runners end");
	for my $c (@clients)
	{
		ok(!$c->{sent} || defined eval { $c->finish(30) }, "$isolation: no client hangs");
	}
	$_->close for @clients;
	my @out = map { [ $_->finish(30) ] } @runners;
	is(join(' ', map { $_->[0] } @out), join(' ', (0) x 10), "$isolation: every runner succeeds") or diag join("\n", map { $_->[2] } @out);
	my $applied = join '', map { $_->[1] } @out;
	is(join(' ', sort $applied =~ /^applied (\d+)/mg), join(' ', map { /^(\d+)/ } sort keys %files), "$isolation: each migration is applied by one of them");
	cmp_ok($answers{applied} // 0, '>', 0, "$isolation: clients in apply succeed");
	delete $answers{applied};
	delete $answers{TM004};

	# Where a transaction's own snapshot is older than the ledger
	delete $answers{40001} if $isolation ne 'read committed';
	is_deeply(\%answers, {}, "$isolation: or are told to come again");
	cmp_ok($slowest, '<', 30, "$isolation: none waits for long");

	is(rows_of($node, 'SELECT what, count(*) FROM built GROUP BY 1 ORDER BY 1', dbname => $db),
		join("\n", (map { "after t${_}_a|1" } 1 .. 4), (map { "t${_}_a|1" } 1 .. 4)), "$isolation: each script ran once");
	is(rows_of($node, "SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid::regclass::text ~ '^t\\d\$' ORDER BY 1", dbname => $db),
		join("\n", map { "t${_}_a|t" } 1 .. 4), "$isolation: each index is there and valid");
	is(rows_of($node, 'SELECT outcome, count(*) FROM tapmig.attempts GROUP BY 1', dbname => $db), 'applied|4', "$isolation: one attempt each");
	is(rows_of($node, "SELECT count(*), count(DISTINCT version) FROM tapmig.history WHERE version < '9'", dbname => $db), '8|8', "$isolation: one event each");
	is(rows_of($node, 'SELECT * FROM tapmig.verify()', dbname => $db), '', "$isolation: the ledger is in order");
	ok(no_worker($node), "$isolation: no worker is left");
	my ($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ], dbname => $db);
	is("$exit|$out|$err", '0||', "$isolation: the next up says nothing");
}

done_testing();
