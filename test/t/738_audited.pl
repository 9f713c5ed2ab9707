# Libraries that watch all statements through the server's hooks, as servers in
# earnest have them loaded: they see what a script does, and get what they expect.

use strict;
use warnings;

use TapmigDebian;
use TapmigTest;
use Test::More;

my $plain = "COPY t FROM stdin;\n%d\n\\.\nINSERT INTO t VALUES (%d);\n";
my $steps = "COPY t FROM stdin;\n%d\n\\.\nVACUUM t;\nINSERT INTO t VALUES (%d);\n";

# Scripts whose first statement is a COPY, in the caller's session and in a worker,
# where nothing has been executed before it.
sub copies
{
	my ($node, $settings, $version) = @_;
	my @plain = ($version * 10 + 1, $version * 10 + 2);
	my @steps = ($version * 10 + 3, $version * 10 + 4);

	is(apply($node, "$version.1", sprintf($plain, @plain), options => $settings)->{value}, 'applied', "$version: COPY in apply");
	is(run($node, "$version.2", sprintf($steps, @steps), options => $settings)->{value}, 'applied', "$version: in a worker");
	is(sql_value($node, "SELECT string_agg(i::text, ' ' ORDER BY i) FROM t WHERE i / 10 = $version"), "@plain @steps", "$version: all of it");
	return;
}

sub logged
{
	my ($node) = @_;

	return read_file($node->logfile);
}

# ------------------------------------------------------------ of PostgreSQL's own

my $node = tapmig_node('main', conf => <<'CONF');
shared_preload_libraries = 'pg_stat_statements, auto_explain'
pg_stat_statements.track = all
auto_explain.log_min_duration = 0
auto_explain.log_nested_statements = on
auto_explain.log_analyze = on
CONF
sql_try($node, 'CREATE TABLE t (i int)');
copies($node, '', 1);
my @shown = logged($node) =~ /Query Text: COPY t FROM stdin;/g;
is(scalar @shown, 2, 'the executor\'s hooks have seen both');
$node->stop;

# ------------------------------------------------------------ pgaudit

SKIP:
{
	my ($major) = $node->config_data('--version') =~ /(\d+)/;
	my ($root, $problem) = debian_package("postgresql-$major-pgaudit");
	skip $problem, 12 unless $root;
	my ($library) = glob "$root/usr/lib/postgresql/*/lib/pgaudit.so";

	$node = tapmig_node('audited', conf => "shared_preload_libraries = '$library'\npgaudit.log = 'all'\n");
	sql_try($node, 'CREATE TABLE t (i int)');
	for my $on (qw(ddl_command_end sql_drop))
	{
		sql_try($node, "CREATE FUNCTION pgaudit_$on() RETURNS event_trigger SECURITY DEFINER SET search_path = pg_catalog, pg_temp LANGUAGE C AS '$library', 'pgaudit_$on'");
		is(sql_try($node, "CREATE EVENT TRIGGER pgaudit_$on ON $on EXECUTE FUNCTION pgaudit_$on()")->{ok}, 1, "an event trigger on $on");
	}
	copies($node, '', 1);
	copies($node, '-c pgaudit.log_relation=on -c pgaudit.log_parameter=on', 2);
	copies($node, '-c pgaudit.log_rows=on', 3);
	is(run($node, '4', "COPY t FROM stdin;\n9\n\\.\nALTER TABLE t ADD j int;\nCREATE INDEX CONCURRENTLY ON t (j);\nALTER TABLE t DROP j;\nDO 'BEGIN COMMIT; END';\n")->{value},
		'applied', '4: changes of the schema among steps');

	my $log = logged($node);
	@shown = $log =~ /AUDIT: SESSION,\d+,\d+,WRITE,INSERT,[^\n]*COPY t FROM stdin/g;
	is(scalar @shown, 7, 'each COPY is audited, under its own text');
	like($log, qr/AUDIT: SESSION,\d+,\d+,DDL,ALTER TABLE,TABLE COLUMN,public\.t\.j,ALTER TABLE t DROP j/, 'and what a worker drops');
	like($log, qr/AUDIT: SESSION,\d+,\d+,DDL,CREATE INDEX,INDEX,public\.t_j_idx,CREATE INDEX CONCURRENTLY/, 'and builds');
}

done_testing();
