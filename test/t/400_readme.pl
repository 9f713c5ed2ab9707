# What the README says is so: its code blocks run, one after the other as a
# reader would, and print what it says; its tables are those of the source.
#
# make demo runs whole; make test is what runs this.

use strict;
use warnings;

use IPC::Run ();
use TapmigDebian;
use TapmigNpm;
use TapmigTest;
use Test::More;

my $top    = top_dir();
my $readme = read_file("$top/README.md");

# Code blocks with their language; a "text" block is the output of the one before.
my @blocks;
while ($readme =~ /^```(\w+)\n(.*?)^```$/msg)
{
	my ($language, $text) = ($1, $2);
	if ($language eq 'text') { $blocks[-1]{output} = $text; }
	else                     { push @blocks, { language => $language, text => $text }; }
}
is(join(' ', map { $_->{language} } @blocks), 'sh sh sql sh sql python js java',
	'the code blocks were found');
is(scalar(() = $readme =~ /^```/mg), 2 * (@blocks + grep { defined $_->{output} } @blocks),
	'each has a language');
my ($two, $install, $create, $runner, $psql, $python, $js, $java) = @blocks;

sub program
{
	my ($command, %opt) = @_;
	my ($out, $err) = ('', '');

	local %ENV = (%ENV, %{ $opt{env} // {} });
	my $good = IPC::Run::run($command, '<', '/dev/null', '>', \$out, '2>', \$err,
		init => sub { chdir($opt{cwd}) or die "$opt{cwd}: $!" },
		IPC::Run::timeout(300));
	return ($good ? 1 : 0, $out, $err);
}

# What differs from one run to the next.
sub masked
{
	my ($text) = @_;

	$text =~ s/\(\d+ ms\)/(N ms)/g;
	$text =~ s/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S* by \w+/TIME by USER/g;
	return $text;
}

# ---------------------------------------------------------------- make

# A checkout that this user may write to, without root: sudo runs the command as
# it is, apt-get only says what it was asked for.
my $checkout = scratch_dir();
my $shims    = scratch_dir();
my $prefix   = scratch_dir();
write_file("$shims/sudo",    qq{#!/bin/sh\nexec "\$@"\n});
write_file("$shims/apt-get", qq{#!/bin/sh\necho "apt-get \$*"\n});
chmod 0755, "$shims/sudo", "$shims/apt-get";
system('cp', '-R', "$top/.", $checkout) == 0 or die "cp of $top failed";

# The private copy of PostgreSQL has no headers: the one that it was copied from.
chomp(my $major = `bash '$top/test/lib/packages.sh' major`);
my $pg_config = $ENV{PG_CONFIG} // "/usr/lib/postgresql/$major/bin/pg_config";
# It is compiled twice here; what is tested elsewhere is compiled as it is installed.
my %quick = (PROFILE => '-O0 -Wno-cpp');
my %make  = (
	cwd => $checkout,
	env => { %quick, PATH => "$shims:$ENV{PATH}", DESTDIR => $prefix, PG_CONFIG => $pg_config });

is($two->{text}, "make demo\nmake test\n", 'two commands');
my ($good, $out, $err) = program([ 'make', '-n', 'test' ], cwd => $checkout);
ok($good && -x '/bin/bash' && $out =~ m{bash (\S+)} && -r "$checkout/$1", 'make test: its script is there')
  or diag($out, $err);
($good, $out, $err) = program([ 'make', 'demo' ], cwd => $checkout, env => \%quick);
ok($good, 'make demo') or diag($out, $err);
like($out, qr/^applied 001/m, 'make demo: migrations go in');

($good, $out, $err) = program([ 'bash', '-eu', '-c', $install->{text} ], %make);
ok($good, 'installation') or diag($out, $err);
my (undef, $found) = program([ 'find', $prefix, '-type', 'f' ], cwd => $prefix);
like($found, qr{/tapmig\.so$}m,                 'the library is installed');
like($found, qr{/extension/tapmig--[\d.]+\.sql$}m, 'the SQL objects are installed');
like($found, qr{/tapmig$}m,                     'the runner is installed');

# The packages are those that the demo asks for, but for perl.
my ($asked) = $out =~ /^apt-get install (.*)/m;
my ($wanted) = read_file("$top/test/lib/packages.sh") =~ /^packages_demo\(\).*?printf '%s\\n' (.*?)\n\}/ms;
$wanted =~ s/\$pg/15/g;
my %wanted = map { s/["\\]//gr =~ s/=.*//r => 1 } split /\s+/, $wanted;
is_deeply([ grep { !$wanted{$_} } split / /, $asked ], [], 'the packages named are ones that a build needs');

# ---------------------------------------------------------------- SQL and runner

my $node = tapmig_node('main', extension => 0, conf => "listen_addresses = '127.0.0.1'\n");
my $password = join '', map { sprintf '%02x', rand 256 } 1 .. 16;
$node->safe_psql('postgres', 'CREATE DATABASE fleet');
$node->safe_psql('postgres', "CREATE ROLE jdbc SUPERUSER LOGIN PASSWORD '$password'");
my $work = scratch_dir();
my %env  = (%{ { $node->_get_env(PGDATABASE => 'fleet') } }, PATH => tapmig_bin() =~ s{/[^/]*$}{}r . ":$ENV{PATH}");
my %here = (cwd => $work, env => \%env);
my @psql = ('psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1');

($good, $out, $err) = program([ @psql, '-f', write_file("$work/create.sql", $create->{text}) ], %here);
ok($good, 'CREATE EXTENSION and the grants') or diag($err);

($good, $out, $err) = program([ 'bash', '-eu', '-c', $runner->{text} ], %here);
ok($good, 'the runner') or diag($err);
is(masked($out), masked($runner->{output}), 'the runner prints what the README says');

($good, $out, $err) = program([ @psql, '-f', write_file("$work/psql.sql", $psql->{text}) ], %here);
ok($good, 'psql') or diag($err);
is($out, join('', map { "$_\n" } $psql->{text} =~ /-- → (.*)/g), 'psql returns what the README says');
like($err, qr/layout or comments only/, 'with a NOTICE where only layout differs');

# What the roles may do, and no more.
my $session = session($node, dbname => 'fleet');
sub as
{
	my ($role, $sql) = @_;

	$session->try("SET SESSION AUTHORIZATION $role");
	my $r = $session->try($sql);
	$session->try('RESET SESSION AUTHORIZATION');
	return $r->{ok} ? $r->{value} // '' : $r->{sqlstate};
}
my $run = q{CALL tapmig.run('020_roles', 'CREATE TABLE roles ()')};
my $accept = q{SELECT tapmig.accept('020', 'CREATE TABLE roles (); SELECT 1', 'a test')};
is(as('deployer',        $run),    'applied', 'the deployer applies');
is(as('deployer',        $accept), '42501',   'and does not correct');
is(as('release_manager', $accept), '',        'the release manager corrects');
is(as('monitoring',      $run),    '42501',   'monitoring does not apply');
is(as('monitoring', 'SELECT count(*) FROM tapmig.verify()'), 0, 'and verifies');
is(as('monitoring', q{SELECT event FROM tapmig.history WHERE version = '020' ORDER BY seq DESC LIMIT 1}),
	'accepted', 'and reads the history');
is(as('deployer', 'SELECT count(*) FROM tapmig.scripts'), '42501', 'the scripts\' texts are not for all');
is(as('jdbc', q{SELECT tapmig.is_applied('020')}), 't', 'everybody asks the gates');

# The same grants are enough for the runner's commands.
write_file("$work/migrations/030_grants.sql", "-- tapmig: allow=nosuch\nCREATE TABLE grants ();\n");
for my $case (
	[ deployer        => 'plan',   qr/^030 +grants +out_of_order|^030 +grants +pending/m ],
	[ deployer        => 'rehearse', qr/^030_grants: 1 statement, /m ],
	[ deployer        => 'lint',   qr/^migrations\/030_grants\.sql:1: warning: unused-ignore: /m ],
	[ deployer        => 'up',     qr/^applied 030_grants/m ],
	[ deployer        => 'status', qr/^030 +grants +applied/m ],
	[ release_manager => 'accept', qr/^accepted 030/m, '030', '--why', 'a test' ])
{
	my ($user, $command, $like, @arguments) = @$case;

	write_file("$work/migrations/030_grants.sql", "CREATE TABLE grants (i int);\n") if $command eq 'accept';
	($good, $out, $err) = program([ 'tapmig', $command, @arguments ], cwd => $work, env => { %env, PGUSER => $user });
	like($out, $like, "$user: tapmig $command") or diag($err);
}

# ---------------------------------------------------------------- clients

($good, $out, $err) = program([ 'python3', write_file("$work/app.py", $python->{text}) ], %here);
ok($good, 'Python') or diag($err);
is($out, $python->{output}, 'Python prints what the README says');

SKIP:
{
	my ($dir, $problem) = node_modules('pg', '8.13.1');
	skip "Node: $problem", 2 unless $dir;

	write_file("$dir/app.js", $js->{text});
	($good, $out, $err) = run_node($node, $dir, 'app.js', env => { PGDATABASE => 'fleet' });
	ok($good, 'Node') or diag($err);
	is($out, $js->{output}, 'Node prints what the README says');
}

# JDBC knows no unix sockets: for this one the server listens on the loopback,
# with a password of this moment.
SKIP:
{
	my ($jar, $problem) = ('/usr/share/java/postgresql.jar');

	for my $program (qw(javac java))
	{
		skip "Java: there is no $program here", 2
		  unless grep { -x "$_/$program" } split /:/, $ENV{PATH};
	}
	unless (-r $jar)
	{
		(my $root, $problem) = debian_package('libpostgresql-jdbc-java');
		skip "Java: $problem", 2 unless $root;
		$jar = "$root/usr/share/java/postgresql.jar";
	}

	my $hba = $node->data_dir . '/pg_hba.conf';
	write_file($hba, "local all all trust\nhost all jdbc 127.0.0.1/32 password\n");
	$node->reload;
	write_file("$work/Migrate.java", $java->{text});
	($good, $out, $err) = program([ 'javac', '-d', $work, "$work/Migrate.java" ], %here);
	diag($err) unless $good;
	my $url = 'jdbc:postgresql://127.0.0.1:' . $node->port . "/fleet?user=jdbc&password=$password";
	($good, $out, $err) = program([ 'java', '-cp', "$work:$jar", 'Migrate' ],
		cwd => $work, env => { %env, JDBC_URL => $url })
	  if $good;
	ok($good, 'Java') or diag($err);
	is($out, $java->{output}, 'Java prints what the README says');
}

# ---------------------------------------------------------------- tables

my %codes = map { $_ => 1 } $readme =~ /^\| (TM\d{3}) \|/mg;
my %name;
my $errors = read_file("$top/src/errors.h");
$name{"TM$2$3$4"} = $1
  while $errors =~ /(TAPMIG_ERRCODE_\w+)\s+MAKE_SQLSTATE\('T','M','(\d)','(\d)','(\d)'\)/g;
is_deeply([ sort keys %codes ], [ sort keys %name ], 'error codes are those of the source');

# A code is "not raised" when no room names it.
my $source = join '', map { read_file($_) } glob("$top/src/*.c");
is_deeply(
	[ sort $readme =~ /^\| (TM\d{3}) \|.*not raised in this version/mg ],
	[ grep { $source !~ /\b$name{$_}\b/ } sort keys %name ],
	'and those that are not raised are the ones said so');

my (undef, $help) = program([ tapmig_bin(), '--help' ], cwd => $work);
my ($exits) = $help =~ /^Exit codes: (.*?)\.\n/ms;
is_deeply([ $readme =~ /^\| (\d+) \|/mg ], [ $exits =~ /\b(\d+) [a-z]/g ],
	'exit codes are those of the runner');

# ---------------------------------------------------------------- links

my %documents = map { $_ => read_file("$top/$_") }
  qw(README.md src/README.md doc/adopt.md doc/ledger.md doc/lint.md doc/performance.md doc/reference.md doc/rehearsal.md doc/runbook.md doc/scripts.md doc/security.md bench/README.md deploy/README.md);
my @dead;
for my $document (sort keys %documents)
{
	my $dir = $document =~ s{[^/]*$}{}r;
	for my $link ($documents{$document} =~ /\]\(([^)#]+)\)/g)
	{
		push @dead, "$document: $link" unless $link =~ /^https:/ || -e "$top/$dir$link";
	}
}
push @dead, map { "README.md: $_" } grep { !-e "$top/$_" }
  map { /`([^`]+)`/g } $readme =~ /^\| (`[^|]*`) \|/mg;
is_deeply(\@dead, [], 'what the documents name is there');

done_testing();
