# Fifty clients apply the same fifty migrations at the same moment. Each of them
# is applied once, and each client is told applied or skipped for every one.

use strict;
use warnings;

use List::Util qw(shuffle);
use TapmigClients;
use TapmigTest;
use Test::More;

my ($n_clients, $n_versions) = (50, 50);
# One round's sessions may be there still when the next one's come.
my $node = tapmig_node('main', conf => "max_connections = 250\n");

# Each leaves a row that a second run would double, and some a table that a
# second run would fail on.
sub script
{
	my ($version) = @_;
	my $sql = "INSERT INTO effects VALUES ($version, txid_current());\n";

	$sql = "CREATE TABLE effects (version int, txid bigint);\n$sql" if $version == 1;
	$sql .= "CREATE TABLE made_$version ();\n" if $version % 10 == 0;
	return $sql;
}

my @versions = map { [ sprintf('%03d_step', $_), script($_) ] } 1 .. $n_versions;

# A client: one call a migration; a lost race of serializable transactions is
# tried again, as an application would.
sub work
{
	my ($call) = @_;

	return sub {
		my ($session) = @_;
		my @lines;

		for my $v (@versions)
		{
			my $r;
			my $tries = 0;

			do
			{
				$r = $session->try($call, bind => $v);
				push @lines, 'retry 40001' if $r->{sqlstate} eq '40001';
			} while ($r->{sqlstate} eq '40001' && ++$tries < 200);
			push @lines, $r->{ok} ? $r->{value} : "$r->{sqlstate} $r->{message}";
		}
		return @lines;
	};
}

my %calls = (
	apply => 'SELECT tapmig.apply($1, $2)',
	run   => 'CALL tapmig.run($1, $2)');

for my $isolation ('read committed', 'repeatable read', 'serializable')
{
	for my $how (sort keys %calls)
	{
		my $name = "$how, $isolation";
		my $db   = tapmig_database($node, "stampede $name");

		sql_value($node, qq{ALTER DATABASE "$db" SET default_transaction_isolation = '$isolation'});
		my $told = clients($node, $n_clients, work($calls{$how}), dbname => $db);

		my (%count, @wrong);
		for my $lines (@$told)
		{
			my @outcomes = grep { $_ ne 'retry 40001' } @$lines;
			$count{$_}++ for @$lines;
			push @wrong, "@outcomes"
			  unless @outcomes == $n_versions && !grep { !/^(?:applied|skipped)$/ } @outcomes;
		}
		is_deeply(\@wrong, [], "$name: every client is told applied or skipped, for each");
		is($count{applied}, $n_versions, "$name: each is told applied to one client");
		is($count{'retry 40001'} // 0, 0, "$name: no 40001") unless $isolation eq 'serializable';
		note("$name: " . join(', ', map { "$count{$_} $_" } sort keys %count));

		my $expected = [ map { [ $_->[0] =~ /(\d+)/ ] } @versions ];
		is_deeply(
			sql_try($node, q{SELECT version FROM tapmig.schema_migrations ORDER BY 1},
				dbname => $db)->{rows},
			$expected, "$name: ledger");
		is_deeply(
			sql_try($node, q{SELECT version FROM tapmig.history WHERE event = 'applied' ORDER BY seq},
				dbname => $db)->{rows},
			$expected, "$name: history, in order");
		is(sql_value($node, 'SELECT count(*) FROM tapmig.history', dbname => $db),
			$n_versions, "$name: no other event");
		is_deeply(
			sql_try($node, q{SELECT to_char(version, 'FM000') FROM effects ORDER BY version},
				dbname => $db)->{rows},
			$expected, "$name: each ran once");
		is(sql_value($node, 'SELECT count(DISTINCT txid) FROM effects', dbname => $db),
			$n_versions, "$name: each in a transaction of its own");
		is(sql_value($node, q{SELECT count(*) FROM pg_tables WHERE tablename LIKE 'made\_%'}, dbname => $db),
			$n_versions / 10, "$name: the tables are there");
		is(sql_value($node, 'SELECT count(*) FROM tapmig.attempts', dbname => $db),
			0, "$name: no failed attempt") if $isolation ne 'serializable';
		verify_is_clean($node, $name, dbname => $db);
	}
}

# Each client in an order of its own. A caller that is behind gets 40001 under
# repeatable read, and comes again.
for my $isolation ('read committed', 'repeatable read')
{
	my $name = "shuffled, $isolation";
	my $db   = tapmig_database($node, $name);
	my ($first, @rest) = @versions;

	sql_value($node, qq{ALTER DATABASE "$db" SET default_transaction_isolation = '$isolation'});
	apply($node, @$first, dbname => $db);
	my $told = clients($node, 10, sub {
		my ($session, $i) = @_;
		my @lines;

		srand($i);
		for my $v (shuffle(@rest))
		{
			my ($r, $tries) = (undef, 0);

			$r = $session->try($calls{apply}, bind => $v)
			  while !$r || ($r->{sqlstate} eq '40001' && ++$tries < 200);
			push @lines, $r->{ok} ? $r->{value} : "$r->{sqlstate} $r->{message}";
		}
		return @lines;
	}, dbname => $db);
	is_deeply([ grep { !/^(?:applied|skipped)$/ } map { @$_ } @$told ], [], "$name: applied or skipped");
	is(scalar(grep { $_ eq 'applied' } map { @$_ } @$told), $n_versions - 1, "$name: each is told applied to one client");
	is(sql_value($node, 'SELECT count(*) FROM effects', dbname => $db), $n_versions, "$name: each ran once");
	is(sql_value($node, 'SELECT count(DISTINCT version) FROM effects', dbname => $db), $n_versions, "$name: and all ran");
	verify_is_clean($node, $name, dbname => $db);
}

done_testing();
