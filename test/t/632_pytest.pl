# examples/pytest, run by pytest itself: one tapmig up for all tests, a clone for
# each, nothing left; and what is seen when a migration fails.

use strict;
use warnings;

use IPC::Run ();
use TapmigTest;
use Test::More;

my $python;
for my $candidate ('python3', '/usr/bin/python3')
{
	next if system("$candidate -c 'import pytest, psycopg2' 2>/dev/null") != 0;
	$python = $candidate;
	last;
}
plan skip_all => 'there is no pytest with psycopg2 here' unless $python;

my $node  = tapmig_node('main');
my $work  = scratch_dir();
my $bin   = tapmig_bin();
my $calls = "$work/calls";
my $databases = q{SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database};
my $before = sql_value($node, $databases);

# A copy, since pytest writes beside its files, in a tree like the checkout's.
system('cp', '-R', top_dir() . '/examples', "$work/examples") == 0 or die;
write_file("$work/bin/tapmig", "#!/bin/sh\necho \"\$1\" >>'$calls'\nexec '$bin' \"\$@\"\n");
chmod 0755, "$work/bin/tapmig";

sub pytest
{
	my ($arguments, %env) = @_;
	my $out = '';

	unlink $calls;
	local %ENV = ($node->_get_env(PGDATABASE => 'postgres'), PYTHONDONTWRITEBYTECODE => 1, PYTHONIOENCODING => 'utf8', %env);
	delete @ENV{ 'TAPMIG_TEST_RUN', 'PYTEST_ADDOPTS', $env{TAPMIG_DIR} ? () : 'TAPMIG_DIR', $env{DATABASE_URL} ? () : 'DATABASE_URL' };
	$ENV{PATH} = "$work/bin:$ENV{PATH}";
	my $h = IPC::Run::start([ $python, '-m', 'pytest', '-p', 'no:cacheprovider', '-v', @$arguments ],
		'<', '/dev/null', '>', \$out, '2>&1', init => sub { chdir("$work/examples/pytest") or die }, IPC::Run::timeout(300));
	$h->finish;
	return ($h->result(0), $out, -e $calls ? read_file($calls) : '');
}

my ($exit, $out, $called) = pytest([]);
is($exit, 0, 'the example passes') or diag $out;
like($out, qr/^=+ 3 passed/m, 'with all of its tests');
is($called, "up\n", 'tapmig up ran once');
is(sql_value($node, $databases), $before, 'no database is left');

# Would it notice? Two tests in one database.
my $conftest = read_file("$work/examples/pytest/conftest.py");
(my $shared = $conftest) =~ s/^\@pytest\.fixture\ndef database/\@pytest.fixture(scope="session")\ndef database/m;
isnt($shared, $conftest, 'a fixture that is not per test');
write_file("$work/examples/pytest/conftest.py", $shared);
($exit, $out) = pytest([]);
like($out, qr/^=+ 1 failed, 2 passed/m, 'fails the test that wants nothing of another');
write_file("$work/examples/pytest/conftest.py", $conftest);

# A connection string instead of variables
my $host = $node->host;
my $port = $node->port;
my $user = sql_value($node, 'SELECT current_user');
($exit, $out, $called) = pytest([], DATABASE_URL => "postgresql://$user@/nosuch?host=$host&port=$port", PGHOST => '/nowhere', PGPORT => 1);
is("$exit $called", "0 up\n", 'DATABASE_URL is taken') or diag $out;

SKIP:
{
	skip 'there is no pytest-xdist here', 3 if system("$python -c 'import xdist' 2>/dev/null") != 0;
	($exit, $out, $called) = pytest([ '-n', '3' ]);
	is($exit, 0, 'with several workers') or diag $out;
	is($called, "up\n", 'tapmig up ran once for all of them');
	is(sql_value($node, $databases), $before, 'no database is left');
}

# An index that is built by a worker of the server's, and a failure
my $dir = migrations_dir({ '001_a.sql' => "CREATE TABLE agents (agent_id int);\nCREATE INDEX CONCURRENTLY agents_id ON agents (agent_id);\n" });
($exit, $out) = pytest([ '-k', 'every' ], TAPMIG_DIR => $dir);
is($exit, 0, 'stepwise migrations') or diag $out;
write_file("$dir/002_bad.sql", "SELECT nosuch();\n");
($exit, $out, $called) = pytest([], TAPMIG_DIR => $dir);
is($exit, 1, 'a failed migration fails the tests');
like($out, qr/^=+ 3 errors/m, 'all of them');
like($out, qr/002_bad: ERROR:  function nosuch\(\) does not exist/, 'with its message');
is($called, "up\n", 'it was tried once');
is(sql_value($node, $databases), $before, 'no database is left');

done_testing();
