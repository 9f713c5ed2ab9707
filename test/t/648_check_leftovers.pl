# What check and dump leave behind, or find: roles, databases of a check that was
# killed, a dump that waits for a lock.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $tmp  = scratch_dir();
my $dir  = migrations_dir({ '001_role.sql' => "CREATE ROLE reporting;\nCREATE TABLE t (i int);\nGRANT SELECT ON t TO reporting;\n" });
my ($exit, $out, $err);

# ---------------------------------------------------------------- roles

$node->safe_psql('postgres', 'CREATE DATABASE dev');
$node->safe_psql('dev', 'CREATE EXTENSION tapmig');
is((run_tapmig($node, [ 'up', '--dir', $dir ], dbname => 'dev'))[0], 0, 'a migration makes a role');
is((run_tapmig($node, [ 'dump', '--dir', $dir ], dbname => 'dev'))[0], 0, 'dump');
($exit, $out, $err) = run_tapmig($node, [ 'check', '--dir', $dir ], dbname => 'dev');
is("$exit|$out", '1|', 'check on the same server: exit code 1');
like($err, qr/^tapmig: 001_role: ERROR:  role "reporting" already exists$/m, 'the cause');
like($err, qr/^tapmig: nothing of 001_role was applied.*; correct it and run tapmig check again \(SQLSTATE 42710\)$/m, 'what was run');
like($err, qr/^tapmig: so the schema could not be built from \S+\nHINT:  Roles belong to the whole server, where this one is already\. .*duplicate_object/m,
	'and what to do');
my $table = "CREATE TABLE t (i int);\nGRANT SELECT ON t TO reporting;\n";
my ($pass_over) = $err =~ /(DO \$\$ BEGIN .*? END \$\$)/;
write_file("$dir/001_role.sql", $pass_over =~ s/\.\.\./reporting/r . ";\n$table");
is((run_tapmig($node, [ 'accept', '1', '--why', 'a test', '--dir', $dir ], dbname => 'dev'))[0], 0, 'the text that it gives');
is((run_tapmig($node, [ 'dump', '--dir', $dir ], dbname => 'dev'))[0], 0, 'dump');
($exit, $out, $err) = run_tapmig($node, [ 'check', '--dir', $dir ], dbname => 'dev');
is("$exit|$out|$err", '0||', 'works');
write_file("$dir/001_role.sql", "CREATE TABLE t (i int);\nCREATE TABLE t (i int);\n");
unlike((run_tapmig($node, [ 'check', '--dir', $dir ], dbname => 'dev'))[2], qr/Roles belong/, 'and is not given for anything else');
write_file("$dir/001_role.sql", $pass_over =~ s/\.\.\./reporting/r . ";\n$table");

# ---------------------------------------------------------------- databases

my $hour = sql_value($node, "SELECT to_char(now() AT TIME ZONE 'UTC' - interval '23 h', 'YYYYMMDDHH24MISS')");
my $day  = sql_value($node, "SELECT to_char(now() AT TIME ZONE 'UTC' - interval '25 h', 'YYYYMMDDHH24MISS')");
my @kept = ("tapmig_check_${hour}_0123456789ab", "tapmig_check_${day}_0123456789ac", "tapmig_check_${day}", "my_tapmig_check_${day}_0123456789ab",
	"tapmig_check_${day}_0123456789ad");
$node->safe_psql('postgres', "CREATE DATABASE $_") for @kept, "tapmig_check_${day}_0123456789ab";
$node->safe_psql('postgres', "CREATE ROLE other LOGIN SUPERUSER; CREATE ROLE creator LOGIN CREATEDB; ALTER DATABASE $kept[4] OWNER TO other");
my $user = session($node, dbname => $kept[1]);
my $listed = "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE datname ~ 'check'";
my $all = sql_value($node, $listed);

# Not another's: this one may make databases, but not the extension.
is((run_tapmig($node, [ 'check', '--dir', $dir ], dbname => 'dev', env => { PGUSER => 'creator' }))[0], 3, 'a check by somebody else');
is(sql_value($node, $listed), $all, "drops nobody else's");
($exit, $out, $err) = run_tapmig($node, [ 'check', '--dir', $dir ], dbname => 'dev');
is("$exit|$out|$err", '0||', 'check');
is(sql_value($node, $listed), join(' ', sort @kept[ 0 .. 3 ]),
	'drops what an old one has left; not what is young, in use or named otherwise');
$user->close;

# A role whose statements may not take long, and a DROP DATABASE that does
$node->safe_psql('postgres', q{CREATE ROLE hasty LOGIN SUPERUSER; ALTER ROLE hasty SET statement_timeout = '200ms'});
write_file("$dir/002_gate.sql", "ALTER ROLE hasty CONNECTION LIMIT 9;\n");
my ($gate, $brake) = map { session($node) } 1 .. 2;
$gate->try('BEGIN; LOCK TABLE pg_authid IN SHARE MODE');
my $hasty = start_tapmig($node, [ 'check', '--dir', $dir ], dbname => 'dev', env => { PGUSER => 'hasty' });
ok(wait_until($node, "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'pg_authid'::regclass AND NOT granted)"), 'check is under way');
$brake->try('BEGIN; LOCK TABLE pg_database IN SHARE MODE');
$gate->try('COMMIT');
my $dropping = "FROM pg_stat_activity WHERE query LIKE 'DROP DATABASE%' AND state = 'active'";
ok(wait_until($node, "SELECT EXISTS (SELECT $dropping AND wait_event_type = 'Lock')"), 'it drops its database');
ok(wait_until($node, "SELECT NOT EXISTS (SELECT $dropping AND now() - query_start < '400ms')"), 'for longer than it may');
$brake->try('COMMIT');
($exit, $out, $err) = $hasty->finish(60);
unlike($err, qr/timeout|still there/, 'no timeout ends it');
is(sql_value($node, "SELECT count(*) FROM pg_database WHERE datname ~ '^tapmig_check_' AND substr(datname, 14, 14) > '$hour'"), 0, 'the database is gone');
unlink "$dir/002_gate.sql";
$_->close for $gate, $brake;

# One that is killed, its psql too, leaves a database with such a name.
write_file("$dir/002_sleep.sql", "SELECT pg_sleep(600);\n");
my $runner = start_tapmig($node, [ 'check', '--dir', $dir ], dbname => 'dev', env => { TMPDIR => $tmp });
ok(wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')"), 'check is under way');
$runner->signal('KILL');
sql_value($node, 'SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname ~ $$^tapmig_check$$');
$runner->finish(60);
my $left = "SELECT datname FROM pg_database WHERE datname ~ '^tapmig_check_[0-9]{14}_[0-9a-f]{12}\$' AND substr(datname, 14, 14) > '$hour'";
like(sql_value($node, $left), qr/\A\w+\z/, 'KILL: its database is left, with its time in the name');
unlink "$dir/002_sleep.sql";

# ---------------------------------------------------------------- a dump that waits

my $holder = session($node, dbname => 'dev');
my $dumping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LOCK TABLE%' AND wait_event_type = 'Lock'";
for my $case ([ TERM => 143 ], [ INT => 130 ])
{
	$holder->try('BEGIN');
	$holder->try('LOCK TABLE t IN ACCESS EXCLUSIVE MODE');
	$runner = start_tapmig($node, [ 'dump', '--dir', $dir, '--out', '-' ], dbname => 'dev', env => { TMPDIR => scratch_dir() });
	ok(wait_until($node, $dumping, expect => 1), 'pg_dump waits for a lock');
	$runner->signal($case->[0]);
	($exit, $out, $err) = $runner->finish(20);
	is("$exit|$out", "$case->[1]|", "$case->[0]: exit code $case->[1]");
	unlike($err, qr/cannot dump/, 'and nothing is said to be wrong');
	ok(wait_until($node, $dumping, expect => 0), 'nothing of it is left on the server');
	$holder->try('ROLLBACK');
}
$holder->close;

done_testing();
