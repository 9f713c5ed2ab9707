# The server stopped with "-m immediate" in the middle of a migration, at twenty
# moments: after each restart the migration is wholly there with its row or not
# at all.
#
# fsync is off: a stop of the processes leaves what they wrote with the operating
# system. It is the order of what was written that is tested here, and a power
# failure, which fsync is for, is PostgreSQL's own affair.

use strict;
use warnings;

use POSIX ();
use TapmigClients;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $n    = 6;                     # statements with a gate before them

sql_value($node, 'CREATE TABLE log (version text, part int)');
sql_value($node, 'CREATE TABLE parent (id int PRIMARY KEY)');
sql_value($node, 'CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS '
	  . '$$ BEGIN PERFORM pg_advisory_xact_lock_shared(1000); RETURN NULL; END $$');

# Each statement waits at a gate of its own; the last gate is a deferred trigger,
# which apply meets in its commit, after the ledger was written.
sub script
{
	my ($version) = @_;
	my $sql = "-- Why: crash\n";

	for my $i (1 .. $n)
	{
		$sql .= "SELECT pg_advisory_xact_lock_shared($i);\n";
		$sql .= "INSERT INTO log SELECT '$version', $i FROM generate_series(1, 100);\n";
		$sql .= "CREATE TABLE made_${version}_$i AS SELECT generate_series(1, 1000) AS i;\n" if $i % 2;
		$sql .= "CREATE INDEX ON made_${version}_@{[ $i - 1 ]} (i);\n" unless $i % 2;
	}
	$sql .= "CREATE CONSTRAINT TRIGGER gate AFTER INSERT ON made_${version}_1 DEFERRABLE INITIALLY DEFERRED "
	  . "FOR EACH ROW EXECUTE FUNCTION gate();\n";
	$sql .= "INSERT INTO made_${version}_1 VALUES (0);\n";
	return $sql;
}

# Wholly there, or not at all? Returns applied, absent, or what is torn.
sub state_of
{
	my ($version) = @_;
	my %seen = (
		ledger  => sql_value($node, "SELECT count(*) FROM tapmig.schema_migrations WHERE version = '$version'"),
		history => sql_value($node, "SELECT count(*) FROM tapmig.history WHERE version = '$version'"),
		script  => sql_value($node, "SELECT count(*) FROM tapmig.scripts WHERE sql LIKE '%made_${version}\\_1 %'"),
		rows    => sql_value($node, "SELECT count(*) FROM log WHERE version = '$version'") / ($n * 100),
		tables  => sql_value($node, "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'made\\_${version}\\_%'") / ($n / 2),
		indexes => sql_value($node, "SELECT count(*) FROM pg_index i, pg_class c WHERE c.oid = i.indrelid"
			  . " AND i.indisvalid AND c.relname LIKE 'made\\_${version}\\_%'") / ($n / 2));
	my %values = map { $_ => 1 } values %seen;

	return 'applied' if keys %values == 1 && exists $values{1};
	return 'absent'  if keys %values == 1 && exists $values{0};
	return 'torn: ' . join(', ', map { "$_ $seen{$_}" } sort keys %seen);
}

my $number = 0;
sub next_version { return sprintf('%03d', ++$number); }

sub crash
{
	$node->stop('immediate');
	$node->start;
	return;
}

my %call = (apply => 'SELECT tapmig.apply($1, $2)', run => 'CALL tapmig.run($1, $2)');
my $crashes = 0;

# At the gates. 1000 is the deferred trigger's.
for my $how ('apply', 'run')
{
	for my $stop ($how eq 'apply' ? (1, 3, 6, 1000) : (2, 5, 1000))
	{
		my $version = next_version();
		my $name    = "$how, gate $stop";
		my $gate    = session($node);
		my $client  = session($node);

		$gate->try("SELECT pg_advisory_lock($stop)");
		$client->start($call{$how}, bind => [ $version, script($version) ]);
		ok(wait_blocked($node, $client->pid), "$name: under way") or last;
		crash();
		$crashes++;
		is($client->finish->{ok}, 0, "$name: the client is told of an error");
		is(state_of($version), 'absent', "$name: nothing of it is there");
		verify_is_clean($node, $name);
		my $again = run($node, $version, script($version));
		is($again->{value}, 'applied', "$name: applied after the restart");
		is(state_of($version), 'applied', "$name: wholly");
	}
}

# At moments given by the WAL that was written: before, in and after a commit. A
# client applies one after the other and notes what it was told.
sub stream
{
	my ($how, $first, $last, $file) = @_;
	my $pid = fork() // die "fork: $!";

	return $pid if $pid;
	eval {
		my $session = session($node);
		open(my $fh, '>', $file) or die "$file: $!";
		$fh->autoflush(1);
		for my $i ($first .. $last)
		{
			my $version = sprintf('%03d', $i);
			my $r = $session->try($call{$how}, bind => [ $version, script($version) ]);

			print $fh "$version ", $r->{value} // $r->{sqlstate}, "\n";
			last unless $r->{ok};
		}
	};
	POSIX::_exit(0);
}

srand(20140527);
my %seen = (applied => 0, absent => 0);
my $told = 0;
my $lsn  = q{SELECT pg_current_wal_insert_lsn() - '0/0'};
my $bytes_each;
{
	my $before = sql_value($node, $lsn);
	my $version = next_version();

	run($node, $version, script($version));
	$bytes_each = sql_value($node, $lsn) - $before;
}

for my $round (1 .. 13)
{
	my $how   = $round % 2 ? 'run' : 'apply';
	my $first = $number + 1;
	my $last  = $number += 12;
	my $file  = scratch_dir() . '/told';
	my $watch = session($node);
	my $bytes = int(rand(6) * $bytes_each);
	my $start = $watch->try($lsn)->{value};
	my $pid   = stream($how, $first, $last, $file);
	my $now   = $start;

	bounded(60, 'the stream goes on', sub {
		$now = $watch->try($lsn)->{value};
		# Pages that are not written for the first time since a checkpoint take less.
		return $now - $start >= $bytes || waitpid($pid, POSIX::WNOHANG) != 0;
	});
	crash();
	$crashes++;
	bounded(60, 'the client ends', sub { waitpid($pid, POSIX::WNOHANG) != 0 });

	my %told = map { split / / } split /\n/, (-e $file ? read_file($file) : '');
	my @torn;
	my $ended = 0;
	for my $version (map { sprintf '%03d', $_ } $first .. $last)
	{
		my $state = state_of($version);

		push @torn, "$version $state" unless $state =~ /^(?:applied|absent)$/;
		push @torn, "$version was told applied, and is $state"
		  if ($told{$version} // '') eq 'applied' && $state ne 'applied';
		push @torn, "$version after one that is absent" if $ended && $state eq 'applied';
		$ended ||= $state eq 'absent';
		$seen{$state}++ if exists $seen{$state};
		$told++ if ($told{$version} // '') eq 'applied';
	}
	is_deeply(\@torn, [], "round $round, $how, after $bytes bytes: each is wholly there or absent");
	verify_is_clean($node, "round $round");
	is(sql_value($node, q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'}), 0, "round $round: no lock is left");
}
is($crashes, 20, 'twenty crashes');
cmp_ok($seen{applied}, '>', 0, 'some were there');
cmp_ok($seen{absent},  '>', 0, 'some were not');
cmp_ok($told,          '>', 0, 'some clients had their answer');
note("applied $seen{applied}, absent $seen{absent}, told $told, a migration writes $bytes_each bytes");

is(sql_value($node, 'SELECT count(*) FROM tapmig.attempts'), 0, 'a crash leaves no attempt of a transactional script');
is(sql_value($node, 'SELECT count(*) FROM (SELECT seq FROM tapmig.history GROUP BY seq HAVING count(*) > 1) s'),
	0, 'no number of an event was given twice');

done_testing();
