# The same tour under every shell that is here; shellcheck, where it is.

use strict;
use warnings;

use TapmigRehearsal;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $bin  = tapmig_bin();
my %shells = (
	dash    => 'dash',
	bash    => 'bash --posix',
	busybox => 'busybox sh',
	ksh     => 'ksh',
	yash    => 'yash',
);
my $tried = 0;

for my $shell (sort keys %shells)
{
	next if system("command -v $shell >/dev/null") != 0;
	$tried++;
	my $wrapper = write_file(scratch_dir() . '/tapmig', "#!/bin/sh\nexec $shells{$shell} '$bin' \"\$@\"\n");
	chmod 0755, $wrapper;
	my $database = tapmig_database($node, $shell);
	my %opt      = (dbname => $database, env => { TAPMIG_BIN => $wrapper });
	my $dir      = migrations_dir({
			"001_it's \$a.sql" => "CREATE TABLE a (i int)",
			'002_b/up.sql'     => "DO \$\$BEGIN RAISE NOTICE 'hello'; END\$\$;\r\n",
		});

	my ($exit, $out, $err) = run_tapmig($node, [ 'status', '--dir', $dir ], %opt);
	is($exit, 6, "$shell: status") or diag $err;
	($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ], %opt);
	is($exit, 0, "$shell: up");
	is($out =~ s/\(\d+ ms\)//gr, "applied 001_it's \$a \napplied 002_b \n", "$shell: what is applied");
	is($err, "tapmig: 002_b: NOTICE:  hello\n", "$shell: notices");
	($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ], %opt);
	is("$exit|$out|$err", '0||', "$shell: nothing to do");
	($exit, $out, $err) = run_tapmig($node, [ 'new', 'x', '--dir', $dir ], %opt);
	is("$exit|$out", "0|$dir/003_x/up.sql\n", "$shell: new") or diag $err;
	write_file("$dir/003_x/up.sql", 'SELECT nosuch()');
	($exit, $out, $err) = run_tapmig($node, [ 'plan', '--dir', $dir ], %opt);
	like($out, qr/^003 +x +pending +transactional +1 +1$/m, "$shell: plan") or diag $err;
	($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ], %opt);
	is($exit, 1, "$shell: a failure");
	like($err, qr/\(SQLSTATE 42883\)\n\z/, "$shell: its message");
	canned_rehearsal($node, $database);
	write_file("$dir/004_r.sql", canned([ [ 1, 1, 'LOCK TABLE', 1, 0, 't', 'SHARE', 1, undef, undef ] ]));
	($exit, $out, $err) = run_tapmig($node, [ 'rehearse', '4', '3', '--dir', $dir ], %opt);
	is("$exit|" . join(' ', $out =~ /^(\w+)[: ]/mg), '0|004_r STATEMENT t 003_x', "$shell: rehearse") or diag $out, $err;
	write_file("$dir/004_r.sql", "ALTER TABLE a RENAME i TO j;");
	($exit, $out, $err) = run_tapmig($node, [ 'lint', '4', '3', '--dir', $dir ], %opt);
	is("$exit|" . join(' ', $out =~ m{^\Q$dir\E/(\S+ \w+: \S+)}mg), '1|004_r.sql:1: error: rename-column:', "$shell: lint") or diag $out, $err;
	like($err, qr/^tapmig: lint: 1 error$/m, "$shell: its sum");
	my $bad = write_file(scratch_dir() . '/bad.sql', "SELECT 1;\nSELEKT 2;\n");
	my $latin = write_file(scratch_dir() . '/latin.sql', "SELECT '\xe4'");
	($exit, $out, $err) = run_tapmig($node, [ 'lint', '--format', 'github', $latin, $bad ], %opt);
	like($out, qr/\A::error file=\Q$latin\E,title=22021::.*\n/, "$shell: a file that is no text") or diag $err;
	is("$exit|" . $out =~ s/\A.*\n//r, "1|::error file=$bad,line=2,title=42601::syntax error at or near \"SELEKT\"\n", "$shell: a script that cannot be read") or diag $err;
	($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', migrations_dir({ '004_r.sql' => 'ALTER TABLE a RENAME i TO j' }) ], %opt);
	like($err, qr/\Atapmig: 004_r: lint: 1 error \(rename-column\); tapmig lint \S+ shows it\n\z/, "$shell: what up says of it");
	unlink "$dir/004_r.sql";
	($exit, $out, $err) = run_tapmig($node, [ 'register', '3', '--dir', $dir ], %opt);
	is("$exit|$out|$err", "0|registered 003_x\n|", "$shell: register");
	($exit, $out, $err) = run_tapmig($node, [ 'withdraw', '--why', 'w', '3' ], %opt);
	is("$exit|$out|$err", "0|withdrawn 3\n|", "$shell: withdraw");
	($exit, $out, $err) = run_tapmig($node, [ 'require', '3' ], %opt);
	is($exit, 6, "$shell: require");
	($exit, $out, $err) = run_tapmig($node, ['up'], %opt, cwd => scratch_dir());
	is($exit, 2, "$shell: usage");
	($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir, '--db', 'host=/nowhere' ], %opt);
	is($exit, 3, "$shell: no connection");

	$node->safe_psql($database, 'CREATE TABLE golang (version bigint PRIMARY KEY, dirty boolean NOT NULL); INSERT INTO golang VALUES (77, false)');
	($exit, $out, $err) = run_tapmig($node, [ 'adopt', '--dir', $dir, '--track', 'adopted' ], %opt);
	like($out, qr/^register +001_it's \$a +not known +golang-migrate +\S+\/001_it's \$a\.sql +at or below 77$/m, "$shell: adopt") or diag $err;
	($exit, $out, $err) = run_tapmig($node, [ 'adopt', '--yes', '--dir', $dir, '--track', 'adopted' ], %opt);
	is($out, "registered 001_it's \$a\nregistered 002_b\nregistered 003_x\nregistered 77\n", "$shell: adopt --yes") or diag $err;

	write_file("$dir/003_x/up.sql", "SELECT pg_advisory_xact_lock_shared(42), pg_sleep(600), '$shell'");
	for my $case ([ INT => 130 ], [ TERM => 143 ])
	{
		my $sleeping = "SELECT count(*) FROM pg_stat_activity WHERE datname = '$database' AND wait_event = 'PgSleep'";
		my $runner = start_tapmig($node, [ 'up', '--dir', $dir ], %opt);

		ok(wait_until($node, $sleeping, expect => 1), "$shell: under way");
		$runner->signal($case->[0]);
		($exit, $out, $err) = $runner->finish(60);
		is($exit, $case->[1], "$shell: $case->[0]") or diag $err;
		sql_value($node, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '$database'");
		ok(wait_until($node, $sleeping, expect => 0), "$shell: ended");
	}
}
cmp_ok($tried, '>', 0, 'a shell was tried');

# Busybox with its own programs, which read ahead, and write, in their own way
SKIP:
{
	my %applet = map { $_ => 1 } split ' ', `busybox --list 2>/dev/null`;
	my $busybox = $applet{awk} && (grep { -x } map { "$_/busybox" } split /:/, $ENV{PATH})[0];
	skip 'no busybox with an awk', 4 unless $busybox;
	my $place    = scratch_dir();
	my $database = tapmig_database($node, 'applets');

	symlink $busybox, "$place/$_" or die for grep { $applet{$_} } qw(awk cat cp find grep head mkfifo mktemp mv od rm sed sha256sum sort tr wc xargs);
	my $wrapper = write_file("$place/tapmig", "#!/bin/sh\nexec busybox sh '$bin' \"\$@\"\n");
	chmod 0755, $wrapper;
	my $dir = scratch_dir();
	write_file(sprintf("$dir/%03d_t.sql", $_), "SELECT $_;\n") for 1 .. 300;
	write_file("$dir/301_n.sql", "DO \$\$BEGIN RAISE NOTICE 'hello'; END\$\$;\nSELECT 1 / 0;\n");
	my %opt = (dbname => $database, env => { TAPMIG_BIN => $wrapper, PATH => "$place:$ENV{PATH}" });
	my ($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ], %opt);
	is($exit, 1, "busybox's programs: up") or diag $err;
	is($out =~ s/ \(\d+ ms\)//gr, join('', map { sprintf "applied %03d_t\n", $_ } 1 .. 300), 'what is applied');
	like($err, qr/\Atapmig: 301_n: NOTICE:  hello\ntapmig: 301_n: ERROR:  division by zero\n.*\(SQLSTATE 22012\)\n\z/s, 'what is not');
	unlink "$dir/301_n.sql";
	($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ], %opt);
	is("$exit|$out|$err", '0||', 'nothing to do');
}

SKIP:
{
	skip 'no shellcheck', 1 if system('command -v shellcheck >/dev/null') != 0;
	is(scalar `shellcheck '@{[ top_dir() ]}/bin/tapmig' 2>&1`, '', 'shellcheck has nothing to say');
}

done_testing();
