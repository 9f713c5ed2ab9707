# What newer servers added to ALTER TABLE: lint says that rows are read where a
# rehearsal shows it, and nothing of it where it doesn't. Forms that a server does not
# have yet are left out.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my ($major) = $node->safe_psql('postgres', 'SHOW server_version_num') =~ /^(\d+)\d{4}$/;

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE teams (id int PRIMARY KEY);
INSERT INTO teams SELECT generate_series(1, 100);
CREATE TABLE agents (id int PRIMARY KEY, team int, double int GENERATED ALWAYS AS (team * 2) STORED);
INSERT INTO agents SELECT g, g FROM generate_series(1, 100) g;
CREATE TABLE logins (id int, team int) PARTITION BY RANGE (id);
CREATE TABLE logins_1 PARTITION OF logins FOR VALUES FROM (0) TO (1000);
INSERT INTO logins SELECT g, g FROM generate_series(1, 100) g;
ALTER TABLE logins ADD CONSTRAINT key FOREIGN KEY (team) REFERENCES teams;
SQL
$node->safe_psql('postgres', <<'SQL') if $major >= 18;
ALTER TABLE agents ADD COLUMN virtual int GENERATED ALWAYS AS (team * 3) VIRTUAL,
  ADD CONSTRAINT loose FOREIGN KEY (team) REFERENCES teams NOT ENFORCED,
  ADD CONSTRAINT given NOT NULL team NOT VALID;
CREATE TABLE firm (team int REFERENCES teams);
INSERT INTO firm SELECT generate_series(1, 100);
SQL

# Says of which statement that rows are read: the rules that are about nothing else.
my @reading = qw(add-column-inline-check alter-type-rewrite check-not-not-valid fk-not-not-valid
  set-expression-rewrite set-not-null-scan validate-constraint-scan validate-in-same-transaction);

my $session = session($node);
my $n       = 0;

for my $case (
	[ 15, 'ALTER TABLE agents ALTER team SET NOT NULL', 1 ],
	[ 15, 'ALTER TABLE logins ALTER CONSTRAINT key DEFERRABLE', 0 ],
	[ 17, 'ALTER TABLE agents ALTER double SET EXPRESSION AS (team * 4)', 1 ],
	[ 18, 'ALTER TABLE agents ADD COLUMN a int GENERATED ALWAYS AS (team * 4)', 0 ],
	[ 18, 'ALTER TABLE agents ADD COLUMN a int GENERATED ALWAYS AS (team * 4) VIRTUAL NOT NULL', 1 ],
	[ 18, 'ALTER TABLE agents ADD COLUMN a int NOT NULL GENERATED ALWAYS AS (id * 4)', 1 ],
	[ 18, 'ALTER TABLE agents ADD COLUMN a int GENERATED ALWAYS AS (team * 4) VIRTUAL CHECK (a > 0)', 1 ],
	[ 18, 'ALTER TABLE agents ALTER virtual SET EXPRESSION AS (team * 4)', 0 ],
	[ 18, 'ALTER TABLE agents ALTER virtual TYPE bigint', 0 ],
	[ 18, 'ALTER TABLE agents ALTER virtual SET NOT NULL', 1 ],
	[ 18, 'ALTER TABLE agents ADD CHECK (virtual > 0)', 1 ],
	[ 18, 'ALTER TABLE agents ADD COLUMN a int GENERATED ALWAYS AS (id); ALTER TABLE agents ALTER a TYPE bigint', 0 ],
	[ 18, 'ALTER TABLE agents ADD CONSTRAINT c CHECK (team > 0) NOT ENFORCED', 0 ],
	[ 18, 'ALTER TABLE agents ALTER CONSTRAINT loose ENFORCED', 1 ],
	[ 18, 'ALTER TABLE agents ALTER CONSTRAINT loose NOT ENFORCED', 0 ],
	[ 18, 'ALTER TABLE agents ALTER CONSTRAINT loose DEFERRABLE', 0 ],
	[ 18, 'ALTER TABLE firm ALTER CONSTRAINT firm_team_fkey ENFORCED', 0 ],
	[ 18, 'ALTER TABLE firm ALTER CONSTRAINT firm_team_fkey NOT ENFORCED; ALTER TABLE firm ALTER CONSTRAINT firm_team_fkey ENFORCED', 0, 1 ],
	[ 18, 'ALTER TABLE agents ALTER CONSTRAINT loose ENFORCED; ALTER TABLE agents ALTER CONSTRAINT loose ENFORCED', 1, 0 ],
	[ 18, 'ALTER TABLE agents ADD CONSTRAINT k FOREIGN KEY (team) REFERENCES teams NOT VALID; ALTER TABLE agents ALTER CONSTRAINT k ENFORCED', 0, 0 ],
	[ 18, 'ALTER TABLE agents VALIDATE CONSTRAINT given', 1 ],
	[ 18, 'ALTER TABLE agents ADD CONSTRAINT g NOT NULL double NOT VALID', 0 ],
  )
{
	my ($from, $sql, @reads) = @$case;

	next if $major < $from;
	$n++;
	my $rehearsed = $session->try('SELECT DISTINCT statement FROM tapmig.rehearse($1) WHERE scanned OR rewritten', bind => [$sql]);
	my $found = $session->try('SELECT DISTINCT statement FROM tapmig.lint($1) WHERE rule = ANY ($2)',
		bind => [ $sql, '{' . join(',', @reading) . '}' ]);
	my $says = join ' ', grep { $reads[ $_ - 1 ] } 1 .. @reads;

	ok($rehearsed->{ok} && $found->{ok}, $sql) or diag $rehearsed->{message} // $found->{message};
	is(join(' ', sort map { $_->[0] } @{ $rehearsed->{rows} }), $says, '  rehearsed');
	is(join(' ', sort map { $_->[0] } @{ $found->{rows} }),     $says, '  lint');
}
ok($n > 1, "$n cases on $major");

# The locks that its message names
my $sql = 'ALTER TABLE logins ALTER CONSTRAINT key DEFERRABLE';
is(join('|', map { $_->[0] } @{ $session->try('SELECT lock_mode FROM tapmig.rehearse($1) ORDER BY relation', bind => [$sql])->{rows} }),
	'ACCESS EXCLUSIVE|ACCESS EXCLUSIVE', 'a key of a partitioned table is altered in its partitions');
is_deeply($session->try('SELECT rule, lock_mode FROM tapmig.lint($1)', bind => [$sql])->{rows},
	[ [ 'partitioned-ddl-fanout', 'ACCESS EXCLUSIVE' ] ], 'lint says so');

if ($major >= 18)
{
	$sql = 'ALTER TABLE agents ALTER CONSTRAINT loose ENFORCED';
	is_deeply($session->try('SELECT relation, lock_mode FROM tapmig.rehearse($1) ORDER BY relation', bind => [$sql])->{rows},
		[ [ 'agents', 'ACCESS EXCLUSIVE' ], [ 'teams', 'SHARE ROW EXCLUSIVE' ] ], 'ENFORCED: rehearsed');
	my $found = $session->try('SELECT relation, lock_mode, message FROM tapmig.lint($1)', bind => [$sql])->{rows};
	is("@{$found->[0]}[0, 1]", 'agents ACCESS EXCLUSIVE', 'lint');
	like($found->[0][2], qr/SHARE ROW EXCLUSIVE on teams/, 'and the other table');
	is($session->try(q{SELECT rule FROM tapmig.lint('ALTER TABLE firm ALTER CONSTRAINT firm_team_fkey NOT ENFORCED')})->{rows}[0][0],
		'constraint-not-enforced', 'NOT ENFORCED: no row is checked any more');
}

done_testing();
