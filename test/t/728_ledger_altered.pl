# Whoever changes the ledger's tables by hand is told where tapmig cannot go on with
# that, and gets what an INSERT would give him where it can.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $node    = tapmig_node('main');
my $session = session($node);
my $apply   = "SELECT tapmig.apply('2', 'SELECT 2', source => 'a long label')";
my $amcheck = sql_value($node, "SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'");

$node->safe_psql('postgres', 'CREATE EXTENSION amcheck') if $amcheck;
is($session->try("SELECT tapmig.apply('1', 'SELECT 1')")->{value}, 'applied', 'before');

# What is behind the change is rolled back with it.
sub with_change
{
	my ($change, @then) = @_;

	$session->try('BEGIN');
	for my $sql (split(/;\s*/, $change))
	{
		my $result = $session->try($sql);

		ok($result->{ok}, $sql) or diag($result->{message});
	}
	$_->() for @then;
	$session->try('ROLLBACK');
	return;
}

sub refused
{
	my ($sqlstate, $like, $sql) = @_;

	return sub {
		my $result;

		$session->try('SAVEPOINT s');
		$result = $session->try($sql || $apply);
		is_error($result, $sqlstate, $like, $sql || 'apply');
		$session->try('ROLLBACK TO s');
	};
}

sub gives
{
	my ($sql, $value) = @_;

	return sub {
		my $result = $session->try($sql);

		is($result->{value}, $value, $sql) or diag($result->{message});
	};
}

my $alter = 'ALTER TABLE tapmig.schema_migrations ALTER COLUMN';

# A column of another type is not read as if it were of its own.
my $column = qr/column \d+ of tapmig.schema_migrations is not as tapmig made it/;

with_change("$alter applied_by TYPE text",
	map { refused('55000', $column, $_) } undef, "SELECT tapmig.is_applied('1')",
	"SELECT tapmig.plan('{1}')", 'SELECT * FROM tapmig.verify()',
	"INSERT INTO tapmig.schema_migrations (version) VALUES ('3')");
with_change("$alter statements TYPE text", refused('55000', $column));
with_change('ALTER TABLE tapmig.schema_migrations DROP COLUMN application', refused('55000', $column));
with_change('ALTER TABLE tapmig.history ALTER COLUMN by_user TYPE text',
	refused('55000', qr/column 6 of tapmig.history is not/),
	refused('55000', qr/column 6 of tapmig.history is not/, 'SELECT * FROM tapmig.verify()'));

# Where the values fit the table has its say.
with_change("$alter source TYPE varchar(8)", refused('22001', qr/value too long/));
with_change("$alter source TYPE varchar(40)", gives($apply, 'applied'));
with_change("CREATE DOMAIN short AS text CHECK (length(VALUE) < 9); $alter source TYPE short",
	refused('23514', qr/domain public.short/));
with_change("$alter checksum SET NOT NULL", gives($apply, 'applied'),
	refused('23502', qr/null value in column "checksum"/, "SELECT tapmig.register('3')"));
with_change('ALTER TABLE tapmig.schema_migrations ADD COLUMN ticket text', gives($apply, 'applied'));

# An index that somebody made again, without its condition, has all rows.
for my $index ([ 'schema_migrations_replaces', 'schema_migrations (track, tapmig.version_key(version) COLLATE "C")' ],
	[ 'history_track_version', 'history (track, tapmig.version_key(version) COLLATE "C", seq)' ])
{
	my ($name, $columns) = @$index;

	with_change("DROP INDEX tapmig.$name; CREATE INDEX $name ON tapmig.$columns",
		gives($apply, 'applied'),
		$amcheck ? gives("SELECT count(bt_index_check('tapmig.$name', true))", 1) : ());
}

# One that the ledger is read by, with a condition or columns that tapmig's has not, would
# not have what is looked for.
my $key = 'tapmig.version_key(version) COLLATE "C"';

for my $index ([ 'schema_migrations_key', 'schema_migrations', "(track, $key) WHERE kind = 'registered'" ],
	[ 'schema_migrations_key', 'schema_migrations', "($key, track)" ],
	[ 'scripts_pkey', 'scripts', '(sql)' ])
{
	my ($name, $table, $definition) = @$index;

	with_change("ALTER INDEX tapmig.$name RENAME TO old; CREATE UNIQUE INDEX $name ON tapmig.$table $definition",
		refused('55000', qr/index "tapmig.$name" is not as tapmig made it/));
}
with_change('ALTER SEQUENCE tapmig.history_seq RENAME TO s', refused('42P01', qr/relation "tapmig.history_seq" does not exist/));

is($session->try($apply)->{value}, 'applied', 'after');
is(sql_value($node, 'SELECT count(*) FROM tapmig.verify()'), 0, 'verify()');

done_testing();
