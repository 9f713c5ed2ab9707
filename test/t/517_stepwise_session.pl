# The worker is the session: user, role, settings, libraries, encoding. And it
# is allowed no more.

use strict;
use warnings;

use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE deployer LOGIN;
CREATE ROLE owner_role NOLOGIN;
CREATE ROLE plain LOGIN;
CREATE ROLE root LOGIN SUPERUSER;
GRANT owner_role TO deployer;
CREATE SCHEMA app AUTHORIZATION owner_role;
CREATE SCHEMA mine AUTHORIZATION deployer;
GRANT USAGE ON SCHEMA app TO deployer;
GRANT USAGE ON SCHEMA tapmig TO deployer, owner_role, plain;
GRANT EXECUTE ON PROCEDURE tapmig.run(text, text, text, text, text) TO deployer, owner_role, plain;
CREATE TABLE public.seen (what text, value text);
GRANT ALL ON public.seen TO PUBLIC;
CREATE TABLE public.secret (a int);
REVOKE ALL ON public.secret FROM PUBLIC;
SQL

# What a step sees; one recorded by the worker, in a transactional step and in
# a block that commits, the other by the session itself.
my @settings = qw(search_path work_mem DateStyle TimeZone application_name role session_authorization is_superuser
  maintenance_work_mem extra_float_digits my.setting default_transaction_isolation);
my $see = "INSERT INTO public.seen SELECT '%s', concat_ws(';', current_user, session_user, "
  . join(', ', map { "coalesce(current_setting('$_', true), 'null')" } @settings)
  . ", current_schemas(true), current_database(), '2020-02-01'::date::text)";

sub sees
{
	my ($what, $session, $version) = @_;
	my $script = sprintf($see, "$what step") . ";\n" . "DO \$\$BEGIN COMMIT; " . sprintf($see, "$what block") . "; END\$\$;\nSELECT 1;\n";

	my $r = $session->try('CALL tapmig.run($1, $2)', bind => [ $version, $script ]);
	is($r->{value}, 'applied', "$what: a stepwise script is applied") or diag explain $r;
	$r = $session->try(sprintf($see, "$what session"));
	ok($r->{ok}, "$what: the session sees") or diag $r->{message};
	my %saw = map { @$_ } @{ sql_try($node, "SELECT what, value FROM seen WHERE what LIKE '$what %'")->{rows} };

	# The worker's own transactions are read committed, whatever is the default.
	s/;(repeatable read|serializable);/;read committed;/ for values %saw;
	isnt($saw{"$what session"} // '', '', "$what: something");
	is($saw{"$what step"},  $saw{"$what session"}, "$what: a step sees what the session sees");
	is($saw{"$what block"}, $saw{"$what session"}, "$what: so does a block that commits");
	is(rows_of($node, "SELECT applied_by, applied_as FROM tapmig.schema_migrations WHERE version = '$version'"),
		join('|', (split /;/, $saw{"$what session"})[ 1, 0 ]), "$what: the ledger has the users");
	return;
}

my $s = session($node, user => 'deployer');
sees('plain user', $s, '001');

$s->try($_) for 'SET ROLE owner_role', 'SET search_path = app, public', "SET work_mem = '7MB'",
  "SET DateStyle = 'SQL, DMY'", "SET TimeZone = 'Asia/Kolkata'", "SET my.setting = 'a; ''b'''", 'SET default_transaction_isolation = serializable';
sees('SET ROLE', $s, '002');

my $r = $s->try('CALL tapmig.run($1, $2)',
	bind => [ '003', "CREATE TABLE made (a int);\nCREATE INDEX CONCURRENTLY made_idx ON made (a);\n" ]);
is($r->{value}, 'applied', 'SET ROLE: makes a table and its index') or diag explain $r;
is(rows_of($node, "SELECT relowner::regrole, relnamespace::regnamespace FROM pg_class WHERE relname IN ('made', 'made_idx')"),
	"owner_role|app\nowner_role|app", 'a NOLOGIN role owns them, in its search_path');

my $super = session($node, user => 'root');
$super->try('SET SESSION AUTHORIZATION deployer');
sees('SET SESSION AUTHORIZATION', $super, '004');
$super->try('SET ROLE owner_role');
sees('both', $super, '005');
$super->close;

$s = session($node, user => 'deployer', options => '-c role=owner_role -c work_mem=3MB');
sees('PGOPTIONS', $s, '006');

$node->safe_psql('postgres', "ALTER ROLE deployer SET work_mem = '9MB'; ALTER ROLE deployer SET role = 'owner_role'; ALTER ROLE deployer IN DATABASE postgres SET search_path = mine");
$s = session($node, user => 'deployer');
sees('ALTER ROLE SET', $s, '007');
$s->try('RESET ROLE');
$s->try('SET ROLE NONE');
sees('SET ROLE NONE', $s, '008');
$node->safe_psql('postgres', 'ALTER ROLE deployer RESET ALL; ALTER ROLE deployer IN DATABASE postgres RESET ALL');

# Nothing of the script's settings stays in the session.
$s = session($node, user => 'deployer');
$s->try('CALL tapmig.run($1, $2)', bind => [ '009', "SET work_mem = '5MB';\nSET ROLE owner_role;\nSET search_path = app;\nDO \$\$BEGIN COMMIT; END\$\$;\nCREATE TABLE by_owner ();\n" ]);
is($s->try("SELECT concat_ws('|', current_user, current_setting('work_mem'), current_setting('search_path'))")->{value},
	'deployer|4MB|"$user", public', 'the session keeps its own settings');
is(rows_of($node, "SELECT relowner::regrole, relnamespace::regnamespace FROM pg_class WHERE relname = 'by_owner'"), 'owner_role|app', 'a later step has those of the first');

# Allowed no more than the session
my %refused = (
	'ALTER SYSTEM'      => [ "ALTER SYSTEM SET work_mem = '1MB';", qr/permission denied/ ],
	'CREATE DATABASE'   => [ 'CREATE DATABASE refused;', qr/permission denied/ ],
	'CREATE TABLESPACE' => [ "CREATE TABLESPACE refused LOCATION '/nowhere';", qr/permission denied/ ],
	'another\'s table'  => [ 'CREATE INDEX CONCURRENTLY ON public.secret (a);', qr/must be owner of table secret/ ],
	'reading'           => [ "DO \$\$BEGIN COMMIT; PERFORM 1 FROM public.secret; END\$\$;", qr/permission denied for table secret/ ],
	'a role not granted' => [ "SET ROLE owner_role;\nVACUUM public.seen;", qr/permission denied to set role/ ],
	'RESET SESSION AUTHORIZATION of a plain user' => [ "DO \$\$BEGIN COMMIT; END\$\$;\nRESET SESSION AUTHORIZATION;\nRESET ROLE;\nSELECT * FROM public.secret;", qr/permission denied for table secret/ ],
	'the ledger'        => [ "DO \$\$BEGIN COMMIT; DELETE FROM tapmig.schema_migrations; END\$\$;", qr/permission denied for table schema_migrations/ ],
);
my $n = 20;
for my $what (sort keys %refused)
{
	my ($script, $like) = @{ $refused{$what} };
	is_error(run($node, $n++, $script, user => 'plain'), '42501', $like, "a plain user is refused: $what");
}
is(sql_value($node, "SELECT count(*) FROM pg_file_settings WHERE name = 'work_mem'"), 0, 'ALTER SYSTEM changed nothing');

# A superuser that has taken a plain role may no more than that role, until the
# script takes it off again, which the session may as well.
$super = session($node, user => 'root');
$super->try('SET ROLE plain');
is_error($super->try('CALL tapmig.run($1, $2)', bind => [ 40, "ALTER SYSTEM SET work_mem = '1MB';" ]), '42501', qr/permission denied/, 'a superuser under SET ROLE is refused ALTER SYSTEM');
is($super->try('CALL tapmig.run($1, $2)', bind => [ 41, "RESET ROLE;\nALTER SYSTEM SET work_mem = '11MB';" ])->{value}, 'applied', 'after RESET ROLE in the script it is not');
sql_try($node, 'ALTER SYSTEM RESET ALL');

# A client in LATIN1
$s = session($node, encoding => 'LATIN1');
$s->{dbh}{pg_enable_utf8} = 0;
is($s->try('SHOW client_encoding')->{value}, 'LATIN1', 'LATIN1: the client');
$r = $s->try("CALL tapmig.run('050', E'DO \$\$BEGIN COMMIT; RAISE NOTICE ''caf\xe9''; INSERT INTO public.seen VALUES (''latin1'', ''caf\xe9''); COMMIT; RAISE EXCEPTION ''na\xefve'' USING DETAIL = ''d\xe9tail''; END\$\$;')");
is_error($r, 'P0001', qr/\Ana\xefve\z/, 'LATIN1: an error comes in its encoding');
is($r->{detail}, "d\xe9tail", 'LATIN1: so does its detail');
ok(scalar(grep { /caf\xe9/ } @{ $r->{notices} }), 'LATIN1: and a NOTICE') or diag explain $r->{notices};
is(sql_value($node, "SELECT encode(convert_to(value, 'UTF8'), 'hex') FROM seen WHERE what = 'latin1'"), '636166c3a9', 'LATIN1: the data is right');
$r = $s->try("CALL tapmig.run('051', E'SET client_encoding = ''UTF8'';\nDO \$\$BEGIN COMMIT; RAISE NOTICE ''caf\xe9''; END\$\$;\nSELECT 1;')");
is($r->{value}, 'applied', 'LATIN1: a script that sets client_encoding') or diag explain $r;
ok(scalar(grep { /caf\xe9/ } @{ $r->{notices} }), 'LATIN1: changes nothing in that');
$r = $s->try("CALL tapmig.run('052', E'DO \$\$BEGIN COMMIT; RAISE NOTICE ''%'', U&''\\\\\\\\20ac''; END\$\$;\nSELECT 1;')");
is($r->{sqlstate}, '', 'LATIN1: a character that it lacks ends nothing') or diag explain $r;
is(sql_value($node, "SELECT tapmig.is_applied('052')"), 't', 'LATIN1: the script is applied');
ok(no_worker($node), 'LATIN1: no worker is left');

# session_preload_libraries: loaded in the worker, with the session's settings
$node->append_conf('postgresql.conf', "session_preload_libraries = 'auto_explain'\nauto_explain.log_min_duration = 0\nauto_explain.log_level = notice\n");
$node->reload;
$r = run($node, '060', "DO \$\$BEGIN COMMIT; PERFORM count(*) FROM seen; END\$\$;\n", options => '-c auto_explain.log_nested_statements=on');
ok(scalar(grep { /Query Text: SELECT count\(\*\) FROM seen/ } @{ $r->{notices} }), 'session_preload_libraries: the library works in the worker')
  or diag explain $r;

# LOAD by the session itself
$node->append_conf('postgresql.conf', "session_preload_libraries = ''\n");
$node->reload;
ok(wait_until($node, "SELECT current_setting('session_preload_libraries') = ''"), 'without it');
$s = session($node);
$s->try($_) for "LOAD 'auto_explain'", 'SET auto_explain.log_min_duration = 0', "SET auto_explain.log_level = 'notice'", 'SET auto_explain.log_nested_statements = on';
$r = $s->try('CALL tapmig.run($1, $2)', bind => [ '061', "DO \$\$BEGIN COMMIT; PERFORM count(*) FROM seen; END\$\$;\n" ]);
ok(scalar(grep { /Query Text: SELECT count\(\*\) FROM seen/ } @{ $r->{notices} }), 'LOAD: the library works in the worker')
  or diag explain $r;

# The session is there already: a limit on new connections does not count.
$s = session($node, user => 'deployer');
$node->safe_psql('postgres', 'ALTER ROLE deployer CONNECTION LIMIT 1');
sees('CONNECTION LIMIT', $s, '070');

is(rows_of($node, 'SELECT * FROM tapmig.verify()'), '', 'the ledger is in order');
done_testing();
