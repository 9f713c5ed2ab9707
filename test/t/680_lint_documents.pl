# doc/lint.md: every rule is documented, and its examples are true. The bad one
# yields the rule; the good ones, linted and then run one after the other, don't.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $doc  = read_file(top_dir() . '/doc/lint.md');
my $node = tapmig_node('main');
my ($major) = $node->safe_psql('postgres', 'SHOW server_version_num') =~ /^(\d+)\d{4}$/;

# Sections: id, text, blocks as [kind, sql].
my (@rules, %rule);
while ($doc =~ /^#### `([\w-]+)`\n(.*?)(?=^#|\z)/msg)
{
	my ($id, $text) = ($1, $2);
	my @blocks;

	push @blocks, [ $1, $2 ] while $text =~ /^```sql\n-- (\w+)\n(.*?)^```$/msg;
	my ($tag) = $text =~ /\A\s*\*(.*?)\.\*/s;
	push @rules, { id => $id, tag => $tag, blocks => \@blocks };
	die "$id twice" if $rule{$id};
	$rule{$id} = $rules[-1];
}

# ---------------------------------------------------------------- complete

my %source;
for my $file (glob(top_dir() . '/src/lint_rules_*.c'))
{
	my $text = read_file($file);
	$source{$1} = 1 while $text =~ /^\t\{"([\w-]+)", LINT_/mg;
}
$source{'unused-ignore'} = 1;
cmp_ok(scalar keys %source, '>=', 70, 'the rules of the source were found');
is_deeply([ sort keys %rule ], [ sort keys %source ], 'each rule is documented, and none else');

# The table of hazards: what was measured, of these kinds, is a rule; what is no
# rule has its reason in the document.
my (@missing, @unexplained);
for my $line (grep { /\S/ } split /\n/, read_file(top_dir() . '/test/fixtures/lint_rules.tsv'))
{
	my ($id, $category, $evidence) = (split /\t/, $line)[ 0, 10, 11 ];
	next if $id eq 'canonical_id' || $rule{$id};

	push @missing, $id
	  if $evidence =~ /^measured/
	  && $category =~ /^(?:lock|rewrite|non-transactional|correctness|app-compat)$/;
	push @unexplained, $id unless $doc =~ /^\| `\Q$id\E` \| \S/m;
}
is_deeply(\@missing,     [], 'every measured hazard is a rule');
is_deeply(\@unexplained, [], 'every other is a rule, or it is said why not');

# ---------------------------------------------------------------- true

my ($tables) = $doc =~ /^```sql\n-- tables\n(.*?)^```$/ms;
$node->safe_psql('postgres', 'CREATE DATABASE tables');
$node->safe_psql('tables', "CREATE EXTENSION tapmig; $tables");

my $n = 0;
my $compared = 0;

# What a lock is called in pg_locks.
sub lock_name { return join('', map { ucfirst lc } split / /, $_[0]) . 'Lock'; }

# Runs a statement in a transaction: the strongest lock that it takes on the
# relation, as pg_locks has it.
sub lock_taken
{
	my ($database, $sql, $relation) = @_;
	my $session = session($node, dbname => $database);

	$session->try('BEGIN');
	my $oid = $session->try(qq{SELECT to_regclass('$relation')::oid})->{value};
	my $r = $session->try($sql);
	my $mode = $r->{ok} ? $session->try(<<"SQL")->{value} : "error: $r->{message}";
SELECT mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'
	AND relation IN ($oid, to_regclass('$relation'))
ORDER BY array_position(ARRAY['AccessShareLock', 'RowShareLock', 'RowExclusiveLock', 'ShareUpdateExclusiveLock',
	'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'], mode) DESC LIMIT 1
SQL
	$session->try('ROLLBACK');
	$session->close;
	return $mode;
}

# The rules that lint finds in a script.
sub findings
{
	my ($database, $sql) = @_;
	my $r = sql_try($node, 'SELECT DISTINCT rule FROM tapmig.lint($1)', bind => [$sql], dbname => $database);

	return $r->{ok} ? map { $_->[0] } @{ $r->{rows} } : "error: $r->{message}";
}

for my $rule (@rules)
{
	my $id       = $rule->{id};
	my $database = 'lint_' . $n++;
	my @good     = grep { $_->[0] eq 'good' } @{ $rule->{blocks} };
	my ($bad, @more) = map { $_->[1] } grep { $_->[0] eq 'bad' } @{ $rule->{blocks} };
	my ($given)  = map { $_->[1] } grep { $_->[0] eq 'given' } @{ $rule->{blocks} };
	my ($which, $version) = $rule->{tag} =~ /PostgreSQL (from|before) (\d+)/;

	ok(defined $bad && @good, "$id: has both examples") or next;
	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE tables");
	$node->safe_psql($database, $given) if defined $given;

	if (defined $which && ($which eq 'from' ? $major < $version : $major >= $version))
	{
		is(scalar(grep { $_ eq $id } findings($database, $bad)), 0, "$id: not in this version");
		next;
	}
	my @found = findings($database, $bad);
	ok((grep { $_ eq $id } @found), "$id: the bad example") or diag("found: @found");
	for my $sql (@more)
	{
		@found = findings($database, $sql);
		ok((grep { $_ eq $id } @found), "$id: another bad example") or diag("found: @found");
	}

	# A statement that stands alone takes the very lock that the rule claims.
	my $claim = sql_try($node, 'SELECT relation, lock_mode FROM tapmig.lint($1) WHERE rule = $2',
		bind => [ $bad, $id ], dbname => $database)->{rows}[0];
	if (defined $claim->[1] && $bad =~ /\A[^;]*;\n\z/ && $bad !~ /^(?:VACUUM|REINDEX SCHEMA)/)
	{
		# Renamed: its name from before.
		my $relation = $id eq 'rename-table' ? 'agents' : $claim->[0];
		is(lock_taken($database, $bad, $relation), lock_name($claim->[1]),
			"$id: $claim->[1] on $claim->[0]");
		$compared++;

		# And its rehearsal shows it: the lock, and what the level depends on.
		my $r = sql_try($node, 'SELECT relation, lock_mode, coalesce(rewritten, false) OR coalesce(scanned, false)
			FROM tapmig.rehearse($1)', bind => [$bad], dbname => $database);
		my ($row) = grep { defined $_->[0] && $_->[0] eq $relation } @{ $r->{rows} };
		# An index's own lock, as REINDEX takes it, counts as its table's there.
		is($row->[1], $id eq 'index-reindex-not-concurrent' ? 'ACCESS EXCLUSIVE' : $claim->[1],
			"$id: its rehearsal has that lock")
		  or diag($r->{message} // '', map { join(' ', map { $_ // '-' } @$_) . "\n" } @{ $r->{rows} // [] });
		# Of a partitioned table the partitions are read.
		ok((grep { ($_->[2] // 'f') eq 't' } $id =~ /fanout/ ? @{ $r->{rows} } : $row),
			"$id: and reads or rewrites the table") if $rule->{tag} =~ /^By size/;
	}

	my $i = 0;
	for my $block (@good)
	{
		my $name = "$id: the good example" . (@good > 1 ? ', script ' . ++$i : '');

		@found = findings($database, $block->[1]);
		ok(!(grep { $_ eq $id || /^error/ } @found), $name) or diag("found: @found");

		my ($status, $out, $err) = $node->psql($database, $block->[1], on_error_stop => 1);
		is($status, 0, "$name runs") or diag($err);
	}
	$node->safe_psql('postgres', "DROP DATABASE $database");
}

cmp_ok($compared, '>=', 40, 'locks were compared');

done_testing();
