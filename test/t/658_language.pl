# A user and a server that do not speak English: what the runner makes of their
# messages. The system may have no other language, so a psql that stands before the
# real one translates: its own words by the locale that it is called with, and the
# server's always.

use strict;
use warnings;

use JSON::PP;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $bin  = scratch_dir();
my $psql = qx(sh -c 'command -v psql');
chomp $psql;
write_file("$bin/psql", <<"END");
#!/bin/sh
own=
case \${LC_ALL:-\${LC_MESSAGES:-\${LANG:-C}}} in
C | C.* | POSIX) ;;
*) own='s/^HINT:/TIP:/; s/^CONTEXT:/KONTEXT:/' ;;
esac
exec 3>&1
{
	{ "$psql" "\$@" 2>&1 >&3 3>&- 4>&-; echo \$? >&4; } |
		sed -u "\$own; s/: ERROR:  /: FEHLER:  /; s/: WARNING:  /: WARNUNG:  /; s/: NOTICE:  /: HINWEIS:  /" >&2 3>&- 4>&-
} 4>&1 | { read -r code; exit "\$code"; }
END
chmod 0755, "$bin/psql";

my %env = (PATH => "$bin:$ENV{PATH}", LC_ALL => 'de_DE.UTF-8', LANGUAGE => 'de');
my $dir = migrations_dir({
	'001_t.sql'    => "CREATE TABLE t (id int, note text);\nINSERT INTO t SELECT g, 'x' FROM generate_series(1, 100) g;",
	'002_type.sql' => "ALTER TABLE t ALTER note TYPE varchar(9);\nCREATE INDEX ON t (note);",
	'003_bad.sql'  => "DO \$\$ BEGIN RAISE NOTICE 'n'; END \$\$;\nCREATE TABLE t ();",
});
my ($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ], env => \%env);
is($exit, 1, 'up');
like($err, qr/^tapmig: 003_bad: HINWEIS:  n$/m, "the server's words are another language's");
like($err, qr/^HINT:  If the migration was applied by hand/m, "psql's are English");
my @findings = $err =~ /^(tapmig: 002_type: .*)$/mg;
is(@findings, 1, 'lint says one line for a file') or diag $err;
like($findings[0], qr/^tapmig: 002_type: lint: 3 warnings \(/, 'its summary');

($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir, '--json' ], env => \%env);
my $error = decode_json((split /\n/, $out)[-1]);
is($error->{message}, 'relation "t" already exists', 'up --json: the message alone');
like($error->{hint}, qr/^If the migration was applied by hand/, 'up --json: the hint');
is($error->{line}, 2, 'up --json: the line');

$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION tapmig');
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir, '--json' ], env => \%env, dbname => 'other');
my ($lint) = grep { $_->{event} eq 'lint' } map { decode_json($_) } split /\n/, $out;
is_deeply([ map { "$_->{statement} $_->{line} $_->{level} $_->{rule}" } @{ $lint->{findings} } ],
	[ '1 1 warning alter-type-rewrite', '2 2 warning index-create-not-concurrent', '2 2 warning index-in-tx-after-exclusive-lock' ],
	'up --json: what lint finds') or diag $out;

($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ], env => { %env, PGOPTIONS => '-c default_transaction_read_only=on' });
is($exit, 3, 'a session that only reads');

# A message that only looks like a finding
write_file("$dir/003_bad.sql", "DO \$\$ BEGIN RAISE 'line 1: error: no-rule: x' USING HINT = 'h'; END \$\$;");
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ]);
like($err, qr/^tapmig: 003_bad: ERROR:  line 1: error: no-rule: x$/m, 'an error is no finding');

done_testing();
