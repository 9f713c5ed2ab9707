# Perl with DBD::Pg: placeholders are parameters of prepared statements.

use strict;
use warnings;
use utf8;

use DBI;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');

sub connected
{
	my (%attributes) = @_;

	return DBI->connect(
		'dbi:Pg:dbname=postgres;host=' . $node->host . ';port=' . $node->port,
		'', '',
		{ AutoCommit => 1, RaiseError => 1, PrintError => 0, PrintWarn => 0, %attributes });
}

# The first column of the first row, or the error's SQLSTATE.
sub value
{
	my ($dbh, $sql, @values) = @_;
	my $row = eval { $dbh->selectrow_arrayref($sql, undef, @values) };

	return $row ? $row->[0] : $dbh->state;
}

my $apply = 'SELECT tapmig.apply(?, ?, ?)';
my $run   = 'CALL tapmig.run(?, ?, ?)';
my $first = <<'SQL';
CREATE TABLE first (t text);
INSERT INTO first VALUES ('what? $1 :x, it''s \ Größe');
COPY first FROM stdin;
from copy
\.
SQL

# pg_server_prepare 1 sends Parse, Bind and Execute; 0 lets DBD::Pg send the
# parameters with the statement, without a prepared one.
for my $prepare (1, 0)
{
	my $how = $prepare ? 'prepared' : 'not prepared';
	my $db  = tapmig_database($node, "prepare_$prepare");
	my $dbh = DBI->connect(
		"dbi:Pg:dbname=$db;host=" . $node->host . ';port=' . $node->port, '', '',
		{ RaiseError => 1, PrintError => 0, PrintWarn => 0, pg_server_prepare => $prepare });

	is(value($dbh, $apply, '001_first', $first, 'client.pl'), 'applied', "$how: apply");
	is(value($dbh, $apply, '001_first', $first, 'client.pl'), 'skipped', "$how: apply again");
	is(value($dbh, q{SELECT string_agg(t, '|' ORDER BY t) FROM first}),
		q{from copy|what? $1 :x, it's \ Größe}, "$how: the script arrived as it is");
	is(value($dbh, $run, '002_second', 'CREATE TABLE second ()', undef), 'applied', "$how: run");
	is(value($dbh, $run, '002_second', 'CREATE TABLE second ()', undef), 'skipped', "$how: run again");
	is(value($dbh, $run, '001_first', 'CREATE TABLE other ()', undef), 'TM001', "$how: TM001");
	like($dbh->pg_error_field('message_hint'), qr/tapmig\.accept\('001'/, "$how: with its hint");
	is(value($dbh, $apply, '003_broken', "CREATE TABLE made ();\nSELECT 1/0;", undef), '22012', "$how: an error's own code");
	like($dbh->pg_error_field('context'), qr/003_broken, statement 2 of 2, line 2/, "$how: with its place");
	is(value($dbh, q{SELECT to_regclass('made')}), undef, "$how: and nothing left of it");

	# One statement handle, many migrations: its plan is kept by the server.
	my $sth = $dbh->prepare($run);
	my @outcomes;
	for my $n (10 .. 25, 10 .. 25)
	{
		$sth->execute("0$n", "CREATE TABLE t$n ()", "handle");
		push @outcomes, $sth->fetchrow_array;
	}
	is("@outcomes", join(' ', ('applied') x 16, ('skipped') x 16), "$how: one handle for all");
	$dbh->disconnect;
}

# AutoCommit off: DBD::Pg begins a transaction, and run behaves as apply.
my $dbh = connected(AutoCommit => 0);
is(value($dbh, $run, '001_within', 'CREATE TABLE within ()', undef), 'applied', 'AutoCommit off: run');
$dbh->rollback;
ok(!value($dbh, q{SELECT tapmig.is_applied('001')}), 'AutoCommit off: gone with the rollback');
is(value($dbh, $run, '001_within', 'CREATE TABLE within ()', undef), 'applied', 'AutoCommit off: run once more');
$dbh->commit;
ok(value($dbh, q{SELECT tapmig.is_applied('001')}), 'AutoCommit off: there with the commit');
is(value($dbh, q{CALL tapmig.wait_for('001')}), 'TM003', 'AutoCommit off: wait_for is refused in a transaction');
$dbh->rollback;
$dbh->disconnect;

done_testing();
