# REINDEX SCHEMA and REINDEX DATABASE CONCURRENTLY that failed, not by an
# interruption but by an error: the next run clears away what they left, as
# behind REINDEX TABLE. PostgreSQL itself skips over it and reports success.

use strict;
use warnings;

use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');

for my $what ('SCHEMA app', 'DATABASE failing', 'TABLE app.t')
{
	my $db     = tapmig_database($node, 'failing');
	my $script = "REINDEX $what CONCURRENTLY" =~ s/(\w+) (\S+) CONCURRENTLY/$1 CONCURRENTLY $2/r;

	sql_try($node, <<'SQL', dbname => $db);
CREATE SCHEMA app;
CREATE TABLE app.broken (a int);
CREATE FUNCTION app.f(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF EXISTS (SELECT FROM app.broken) THEN RAISE EXCEPTION 'broken'; END IF;
	RETURN i;
END $$;
CREATE TABLE app.t AS SELECT g AS a FROM generate_series(1, 100) g;
CREATE INDEX t_f ON app.t (app.f(a));
INSERT INTO app.broken VALUES (1);
SQL
	my $invalid = 'SELECT count(*) FROM pg_index WHERE NOT indisvalid';

	is_error(run($node, '001_reindex', "$script;\n", dbname => $db), 'P0001', qr/^broken$/, "$what: it fails");
	is(sql_value($node, $invalid, dbname => $db), 1, "$what: and leaves an invalid index");
	sql_try($node, 'DELETE FROM app.broken', dbname => $db);
	my $r = run($node, '001_reindex', "$script;\n", dbname => $db);
	is($r->{value}, 'applied', "$what: the next run succeeds") or diag explain $r;
	is(sql_value($node, $invalid, dbname => $db), 0, "$what: no invalid index is left under the version");
	$node->safe_psql('postgres', "DROP DATABASE $db");
}

done_testing();
