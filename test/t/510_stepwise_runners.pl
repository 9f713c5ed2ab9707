# Many runners at once over one directory, with the default eight worker slots,
# and clients in tapmig.apply meanwhile: everything is built once, nobody hangs.

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
	my $v = sprintf('%03d', 2 * $n - 1);
	$files{"${v}_table_$n.sql"} = "CREATE TABLE t$n AS SELECT g AS a FROM generate_series(1, 1000) g;\n";
	$v = sprintf('%03d', 2 * $n);
	$files{"${v}_index_$n.sql"} = "INSERT INTO public.built VALUES ('t${n}_idx');\nCREATE INDEX CONCURRENTLY t${n}_idx ON t$n (a);\n";
}
my $dir = migrations_dir(\%files);

# $runners runners and $callers CALL clients at once in a database of their own,
# with a client in tapmig.apply for each.
sub together
{
	my ($what, $runners, $callers, $isolation) = @_;
	my $db = tapmig_database($node, "db_$what");

	sql_try($node, 'CREATE TABLE built (what text)', dbname => $db);
	sql_try($node, "ALTER DATABASE $db SET default_transaction_isolation = '$isolation'");

	my @runners = map { start_tapmig($node, [ 'up', '--dir', $dir, '--force-empty' ], dbname => $db) } 1 .. $runners;
	my @callers = map { session($node, dbname => $db) } 1 .. $callers;
	my @appliers = map { session($node, dbname => $db) } 1 .. 3;
	my @files = map { [ $_, read_file("$dir/$_") ] } sort keys %files;
	my (%at, %outcome, %bad);
	my $applied  = 0;
	my $busy     = 0;
	my $deadline = Time::HiRes::time() + 120;

	# The CALL clients send the files one after the other; the others ask to
	# apply small scripts of their own until everybody is done.
	my $n = 0;
	my $open = 1;
	while ($open && Time::HiRes::time() < $deadline)
	{
		$open = 0;
		for my $i (0 .. $#callers)
		{
			my $c = $callers[$i];
			if (!$c->{sent})
			{
				next if ($at{$i} //= 0) > $#files;
				$c->start('CALL tapmig.run($1, $2)', bind => [ @{ $files[$at{$i}++] } ]);
			}
			elsif (!$c->busy)
			{
				my $r = $c->finish;
				$bad{"$r->{sqlstate} $r->{message}"}++ unless $r->{ok};
				$outcome{$r->{value}}++ if $r->{ok};
			}
			$open = 1;
		}
		for my $a (@appliers)
		{
			if (!$a->{sent}) { $a->start('SELECT tapmig.apply($1, $2)', bind => [ '9' . sprintf('%05d', ++$n), 'SELECT 1' ]); }
			elsif (!$a->busy)
			{
				my $r = $a->finish;
				if ($r->{ok}) { $applied++; }
				elsif ($r->{sqlstate} =~ /^(TM004|40001)$/) { $busy++; }
				else { $bad{"apply: $r->{sqlstate} $r->{message}"}++; }
			}
		}
		for my $r (@runners)
		{
			next if $r->{done};
			$r->{h}->pump_nb if $r->{h}->pumpable;
			if ($r->{h}->pumpable) { $open = 1; }
			else                   { $r->{done} = 1; }
		}
		Time::HiRes::usleep(2_000);
	}
	ok(!$open, "$what: all runners and callers end");
	for my $a (@appliers)
	{
		next unless $a->{sent};
		my $r = eval { $a->finish(30) };
		ok(defined $r, "$what: no client hangs in apply");
	}
	my @out = map { [ $_->finish(30) ] } @runners;
	is_deeply([ map { $_->[0] } @out ], [ map { 0 } @runners ], "$what: every runner succeeds")
	  or diag join("\n", map { $_->[2] } @out);
	is_deeply(\%bad, {}, "$what: no other error");
	cmp_ok($applied, '>', 0, "$what: clients in apply succeed ($applied did, $busy were told TM004)");

	# Each version is applied by one of them
	my %said;
	$said{$_}++ for map { $_->[1] =~ /^applied (\S+)/mg } @out;
	my $said = 0;
	$said += $_ for values %said;
	is($said + ($outcome{applied} // 0), 8, "$what: each migration is applied once");

	is(rows_of($node, 'SELECT what, count(*) FROM built GROUP BY 1 ORDER BY 1', dbname => $db),
		"t1_idx|1\nt2_idx|1\nt3_idx|1\nt4_idx|1", "$what: each build's script ran once");
	is(rows_of($node, "SELECT outcome, count(*) FROM tapmig.attempts GROUP BY 1", dbname => $db), 'applied|4', "$what: one attempt each");
	is(rows_of($node, "SELECT count(*), count(DISTINCT version) FROM tapmig.history WHERE version < '9'", dbname => $db), '8|8',
		"$what: one event in the history each");
	is(rows_of($node, "SELECT indexrelid::regclass FROM pg_index WHERE indrelid::regclass::text ~ '^t\\d\$' AND indisvalid ORDER BY 1", dbname => $db),
		"t1_idx\nt2_idx\nt3_idx\nt4_idx", "$what: four valid indexes");
	is(rows_of($node, 'SELECT * FROM tapmig.verify()', dbname => $db), '', "$what: the ledger is in order");
	ok(no_worker($node), "$what: no worker is left");
}

together('two',      2, 0, 'read committed');
together('ten',      6, 4, 'read committed');
together('ten_rr',   6, 4, 'repeatable read');
together('ten_serial', 0, 10, 'serializable');

done_testing();
