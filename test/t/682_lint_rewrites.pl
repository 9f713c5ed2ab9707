# Where lint says that a table is rewritten or an index built anew, it is; where
# it says nothing, it isn't: each case is linted, then run, and the files'
# numbers before and after are compared.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my ($major) = $node->safe_psql('postgres', 'SHOW server_version_num') =~ /^(\d+)\d{4}$/;
$node->safe_psql('postgres', <<'SQL');
CREATE DOMAIN plain_int AS int;
CREATE DOMAIN checked_int AS int CHECK (VALUE > 0);
CREATE DOMAIN plain_text AS text;
CREATE DOMAIN checked_text AS text CHECK (VALUE <> 'x');
CREATE DOMAIN defaulted AS int DEFAULT 7;
CREATE DOMAIN random_uuid AS uuid DEFAULT gen_random_uuid();
CREATE TYPE mood AS ENUM ('1', '2');
CREATE FUNCTION labelled_volatile() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';
CREATE FUNCTION truly_volatile() RETURNS int LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN 1; END';
CREATE FUNCTION stable() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN 1; END';
CREATE SEQUENCE s;
SQL

my $session = session($node);
my $n = 0;

# The numbers of the files of a table and of its indexes.
sub files
{
	my ($table) = @_;

	return $session->try(<<"SQL")->{rows};
SELECT c.relname, pg_relation_filenode(c.oid)::text FROM pg_class c
WHERE c.oid = '$table'::regclass
   OR c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = '$table'::regclass)
ORDER BY c.relname
SQL
}

# Makes the table, lints and runs the statement, and compares.
sub compare
{
	my ($columns, $row, $index, $statement, $name) = @_;
	my $table = 't' . ++$n;

	$session->try("CREATE TABLE $table ($columns)");
	my $r = $session->try("INSERT INTO $table SELECT $row FROM generate_series(1, 20)");
	die "$name: $r->{message}" unless $r->{ok};
	for my $definition (ref $index ? @$index : defined $index ? $index : ())
	{
		$r = $session->try("CREATE INDEX ON $table $definition");
		die "$name: $r->{message}" unless $r->{ok};
	}
	my $sql = "ALTER TABLE $table $statement";
	$r = $session->try('SELECT DISTINCT rule FROM tapmig.lint($1)', bind => [$sql]);
	die "$name: $r->{message}" unless $r->{ok};
	my %found  = map { $_->[0] => 1 } @{ $r->{rows} };
	my %before = map { $_->[0] => $_->[1] } @{ files($table) };
	$r = $session->try($sql);
	die "$name: $r->{message}" unless $r->{ok};
	my %after = map { $_->[0] => $_->[1] } @{ files($table) };

	my $rewritten = $before{$table} != $after{$table} ? 1 : 0;
	my $rebuilt = (grep { $_ ne $table && defined $after{$_} && $after{$_} != $before{$_} } keys %before) ? 1 : 0;
	my $says = (grep { $found{$_} } qw(alter-type-rewrite add-column-volatile-default add-column-constrained-domain
		  add-column-serial-or-identity add-column-generated-stored set-logged-unlogged set-expression-rewrite)) ? 1 : 0;
	my $says_index = $found{'alter-type-index-rebuild'} || $found{'collation-change'} ? 1 : 0;
	is("rewritten $says", "rewritten $rewritten", "$name: " . ($rewritten ? 'rewritten' : 'kept'));
	is("index $says_index", "index " . ($rewritten ? 0 : $rebuilt), "$name: index " . ($rebuilt ? 'built anew' : 'kept'))
	  if defined $index;
	$session->try("DROP TABLE $table");
	return;
}

# ---------------------------------------------------------------- types

my @pairs = (
	[ 'varchar(10)', 'varchar(20)', q('1') ], [ 'varchar(10)', 'varchar', q('1') ],
	[ 'varchar(10)', 'text', q('1') ],        [ 'varchar(20)', 'varchar(10)', q('1') ],
	[ 'varchar', 'varchar(10)', q('1') ],     [ 'text', 'varchar', q('1') ],
	[ 'text', 'varchar(10)', q('1') ],        [ 'char(10)', 'char(20)', q('1') ],
	[ 'char(10)', 'varchar(20)', q('1') ],    [ 'char(10)', 'text', q('1') ],
	[ 'text', 'char(5)', q('1') ],            [ 'numeric(10,2)', 'numeric(12,2)', 1 ],
	[ 'numeric(10,2)', 'numeric(12,4)', 1 ],  [ 'numeric(10,2)', 'numeric', 1 ],
	[ 'numeric', 'numeric(10,2)', 1 ],        [ 'numeric(12,2)', 'numeric(10,2)', 1 ],
	[ 'int', 'bigint', 1 ],    [ 'bigint', 'int', 1 ],   [ 'smallint', 'int', 1 ],
	[ 'int', 'numeric', 1 ],   [ 'int', 'text', 1 ],     [ 'int', 'oid', '1::int' ],
	[ 'int', 'real', 1 ],      [ 'real', 'float8', 1 ],  [ 'float8', 'real', 1 ],
	[ 'int', 'plain_int', 1 ], [ 'int', 'checked_int', 1 ], [ 'plain_int', 'int', 1 ],
	[ 'checked_int', 'int', 1 ], [ 'plain_int', 'bigint', 1 ],
	[ 'text', 'plain_text', q('1') ],  [ 'text', 'checked_text', q('1') ],
	[ 'varchar(5)', 'plain_text', q('1') ], [ 'plain_text', 'varchar', q('1') ],
	[ 'bit(5)', 'varbit', q(B'10101') ], [ 'varbit(5)', 'varbit(9)', q(B'1') ],
	[ 'varbit(9)', 'varbit(5)', q(B'1') ], [ 'varbit', 'bit(5)', q(B'10101') ], [ 'bit(5)', 'bit(5)', q(B'10101') ],
	[ 'timestamp', 'timestamptz', 'now()' ], [ 'timestamptz', 'timestamp', 'now()' ],
	[ 'timestamp(3)', 'timestamp(6)', 'now()' ], [ 'timestamp(6)', 'timestamp(3)', 'now()' ],
	[ 'timestamp(3)', 'timestamp', 'now()' ],    [ 'timestamp', 'timestamp(3)', 'now()' ],
	[ 'timestamp(3)', 'timestamptz(6)', 'now()' ], [ 'timestamptz(3)', 'timestamptz', 'now()' ],
	[ 'time(3)', 'time', q('1:00') ], [ 'time', 'time(0)', q('1:00') ], [ 'timetz(2)', 'timetz(5)', q('1:00') ],
	[ 'interval(3)', 'interval', q('1 h') ], [ 'interval', 'interval(2)', q('1 h') ],
	[ 'interval', 'interval day to second', q('1 h') ], [ 'interval hour', 'interval', q('1 h') ],
	[ 'date', 'timestamp', 'now()' ], [ 'cidr', 'inet', q('10.0.0.0/8') ], [ 'inet', 'cidr', q('10.0.0.0/8') ],
	[ 'json', 'jsonb', q('1') ], [ 'json', 'text', q('1') ], [ 'xml', 'text', q(xmlcomment('a')) ],
	[ 'varchar(5)[]', 'varchar(9)[]', q('{1}') ], [ 'varchar(5)[]', 'text[]', q('{1}') ], [ 'int[]', 'bigint[]', q('{1}') ],
	[ 'name', 'text', q('1') ], [ 'text', 'name', q('1') ], [ 'oid', 'regclass', 1259 ], [ 'regclass', 'oid', q('pg_class') ],
	[ 'oid', 'int', '1' ],  [ 'mood', 'text', q('1') ], [ 'bytea', 'bytea', q('1') ], [ 'uuid', 'text', 'gen_random_uuid()' ],
	[ '"char"', 'text', q('1') ]);

for my $zone ('UTC', 'Europe/Berlin')
{
	$session->try("SET timezone = '$zone'");
	for my $pair (@pairs)
	{
		my ($from, $to, $value) = @$pair;
		next if $zone ne 'UTC' && "$from$to" !~ /time/;
		my $indexable = "$from$to" !~ /json|xml|\[/;
		my $using = $to eq 'cidr' || $from eq 'int' && $to eq 'oid' ? " USING c::$to" : '';
		next if $from eq 'varchar(5)[]' && !defined $value;

		compare("c $from, d int", "$value, 1", $indexable ? '(c)' : undef, "ALTER c TYPE $to$using",
			"$zone: $from to $to");
	}
}
$session->try("SET timezone = 'UTC'");

for my $case (
	[ 'c varchar(5), d int', q('1', 1), '(lower(c))',           'ALTER c TYPE text',                  'expression' ],
	[ 'c varchar(5), d int', q('1', 1), q{(d) WHERE c <> ''},   'ALTER c TYPE text',                  'predicate' ],
	[ 'c varchar(5), d int', q('1', 1), q{(c) WHERE d > 0},     'ALTER c TYPE text',                  'predicate on another column' ],
	[ 'c varchar(5), d int', q('1', 1), '(d)',                  'ALTER c TYPE text',                  'index on another column' ],
	[ 'c varchar(5), d int', q('1', 1), '(d) INCLUDE (c)',      'ALTER c TYPE text',                  'included column' ],
	[ 'c varchar(5), d int', q('1', 1), '(c text_pattern_ops)', 'ALTER c TYPE text',                  'operator class' ],
	[ 'c varchar(5), d int', q('1', 1), '(c varchar_pattern_ops)', 'ALTER c TYPE text',               'operator class of the old type' ],
	[ 'c varchar(5), d int', q('1', 1), '(c COLLATE "C")',      'ALTER c TYPE text',                  'index with its own collation' ],
	[ 'c varchar(5), d int', q('1', 1), '(c COLLATE "C")',      'ALTER c TYPE text COLLATE "POSIX"',  'the same under another collation' ],
	[ 'c varchar(5), d int', q('1', 1), '(c)',                  'ALTER c TYPE varchar(5) COLLATE "C"', 'collation' ],
	[ 'c text COLLATE "C", d int', q('1', 1), '(c)',            'ALTER c TYPE text',                  'collation back to the default' ],
	[ 'c text COLLATE "C", d int', q('1', 1), '(d)',            'ALTER c TYPE text',                  'collation without index' ],
	[ 'c varchar(5), d int', q('1', 1), 'USING hash (c)',       'ALTER c TYPE text',                  'hash index' ],
	[ 'c cidr, d int', q('10.0.0.0/8', 1), '(c)',               'ALTER c TYPE inet',                  'cidr to inet' ],
	[ 'c cidr, d int', q('10.0.0.0/8', 1), 'USING gist (c inet_ops)', 'ALTER c TYPE inet',            'gist' ],
	[ 'c int[], d int', q('{1}', 1), 'USING gin (c)',           'ALTER c TYPE int[]',                 'gin, same type' ],
	[ 'c int, d int', '1, 1', undef,                            'ALTER c TYPE int USING d',           'USING another column' ],
	[ 'c int, d int', '1, 1', undef,                            'ALTER c TYPE int USING c',           'USING itself' ],
	[ 'c int, d int', '1, 1', undef,                            'ALTER c TYPE int USING c + 0',       'USING computed' ],
	[ 'c varchar(5), d int', q('1', 1), undef,                  'ALTER c TYPE text USING c::text',    'USING a relabelling' ],

	# ------------------------------------------------------------ columns
	[ 'd int', '1', undef, 'ADD c int',                                      'no default' ],
	[ 'd int', '1', undef, 'ADD c int DEFAULT 1',                            'constant' ],
	[ 'd int', '1', undef, 'ADD c timestamptz DEFAULT now()',                'now()' ],
	[ 'd int', '1', undef, 'ADD c timestamptz DEFAULT clock_timestamp()',    'clock_timestamp()' ],
	[ 'd int', '1', undef, 'ADD c float8 DEFAULT random()',                  'random()' ],
	[ 'd int', '1', undef, 'ADD c uuid DEFAULT gen_random_uuid()',           'gen_random_uuid()' ],
	[ 'd int', '1', undef, 'ADD c date DEFAULT CURRENT_DATE',                'CURRENT_DATE' ],
	[ 'd int', '1', undef, q{ADD c text DEFAULT 'a' || current_user},        'current_user' ],
	[ 'd int', '1', undef, q{ADD c int DEFAULT nextval('s')},                'nextval' ],
	[ 'd int', '1', undef, 'ADD c int DEFAULT labelled_volatile()',          'a volatile function that is inlined' ],
	[ 'd int', '1', undef, 'ADD c int DEFAULT truly_volatile()',             'a volatile function' ],
	[ 'd int', '1', undef, 'ADD c int DEFAULT stable()',                     'a stable function' ],
	[ 'd int', '1', undef, 'ADD c int DEFAULT (SELECT_FREE)'  =~ s/\(SELECT_FREE\)/abs(-1)/r, 'an immutable function' ],
	[ 'd int', '1', undef, 'ADD c serial',                                   'serial' ],
	[ 'd int', '1', undef, 'ADD c int GENERATED ALWAYS AS IDENTITY',         'identity' ],
	[ 'd int', '1', undef, 'ADD c int GENERATED ALWAYS AS (d + 1) STORED',   'generated' ],
	[ 'd int', '1', undef, 'ADD c plain_int',                                'plain domain' ],
	[ 'd int', '1', undef, 'ADD c checked_int',                              'checked domain' ],
	[ 'd int', '1', undef, 'ADD c checked_int DEFAULT 1',                    'checked domain with a default' ],
	[ 'd int', '1', undef, 'ADD c defaulted',                                'domain with a default' ],
	[ 'd int', '1', undef, 'ADD c random_uuid',                              'domain with a volatile default' ],
	[ 'd int', '1', undef, 'ADD c mood DEFAULT \'1\'',                       'enum' ],
	[ 'd int', '1', undef, 'ADD c int[] DEFAULT ARRAY[1, 2]',                'array' ],
	[ 'd int', '1', undef, 'SET UNLOGGED',                                   'SET UNLOGGED' ],
	[ 'd int', '1', undef, 'SET LOGGED',                                     'SET LOGGED where it is logged' ],
	[ 'd int', '1', undef, 'ADD c int, ALTER d TYPE bigint',                 'two parts' ],
	$major >= 18 ? [ 'd int', '1', undef, 'ADD c int GENERATED ALWAYS AS (d + 1) VIRTUAL', 'virtual' ] : (),
	$major >= 17 ? [ 'd int, c int GENERATED ALWAYS AS (d + 1) STORED', '1', undef, 'ALTER c SET EXPRESSION AS (d + 2)', 'SET EXPRESSION' ] : ())
{
	compare(@$case);
}

done_testing();
