# What a psql in place of psql sees: no secret on its command line, the session
# that it is to open, nothing of the user's psqlrc.

use strict;
use warnings;

use TapmigTest;
use Test::More;

# It writes its arguments and its PG variables, and fails as psql does without
# a connection.
my $place = scratch_dir();
write_file("$place/psql", <<'SH');
#!/bin/sh
printf '%s\n' "$@" >"$RECORD.arguments"
printf '%s' "${PGPASSWORD-none}" >"$RECORD.password"
env | grep '^PG' >"$RECORD.environment"
echo 'psql: error: connection to server failed: no' >&2
exit 2
SH
chmod 0755, "$place/psql";
my $dir = migrations_dir({ '001_a.sql' => 'SELECT 1' });

sub seen
{
	my ($db, %env) = @_;
	my ($exit, $out, $err) = run_tapmig(undef, [ 'status', '--dir', $dir, defined $db ? ('--db', $db) : () ],
		env => { PATH => "$place:$ENV{PATH}", RECORD => "$place/seen", TAPMIG_BIN => tapmig_bin(), PGPASSWORD => undef, %env });

	is($exit, 3, 'no connection') or diag $err;
	my @arguments = split /\n/, read_file("$place/seen.arguments");
	my ($at) = grep { $arguments[$_] eq '-d' } 0 .. $#arguments;
	return (defined $at ? $arguments[ $at + 1 ] : undef, read_file("$place/seen.password"), \@arguments);
}

my @cases = (
	[ 'postgresql://u:s3cret@h:5432/db?x=1', 'postgresql://u@h:5432/db?x=1', 's3cret' ],
	[ 'postgres://u:a%20b%2F%3a%c3%a4%25@h/db', 'postgres://u@h/db', "a b/:\xc3\xa4%" ],
	[ 'postgresql://u:p@[::1]:5432,h2:5433/db?a=b:c@d', 'postgresql://u@[::1]:5432,h2:5433/db?a=b:c@d', 'p' ],
	[ 'postgresql://u@h/db?password=a%26b&x=1', 'postgresql://u@h/db?x=1', 'a&b' ],
	[ 'postgresql://u@h/db?x=1&password=p', 'postgresql://u@h/db?x=1', 'p' ],
	[ 'postgresql://h:5432/db?user=a@b', 'postgresql://h:5432/db?user=a@b', 'none' ],
	[ 'postgresql:///db', 'postgresql:///db', 'none' ],
	[ 'host=h password=s3cret dbname=d', 'host=h  dbname=d', 's3cret' ],
	[ q{password = 'it\'s \\\\ a'  host=h}, '  host=h', q{it's \\ a} ],
	[ q{host=h password=a\ b}, 'host=h ', 'a b' ],
	[ q{dbname='my password'}, q{dbname='my password'}, 'none' ],
	[ 'plain', 'plain', 'none' ],
);
for my $case (@cases)
{
	my ($db, $argument, $password) = @$case;
	my @got = seen($db);

	is($got[0], $argument, "the argument of psql for $db");
	is($got[1], $password, 'and the password');
}
is((seen(undef, DATABASE_URL => 'postgresql://u:p@h/db'))[0], 'postgresql://u@h/db', 'DATABASE_URL');
is((seen('other', DATABASE_URL => 'postgresql://u:p@h/db'))[0], 'other', '--db wins over it');
my ($d, $password, $arguments) = seen(undef, PGPASSWORD => 'from outside', PGDATABASE => 'x');
is($d, undef, "without either, libpq's environment");
is($password, 'from outside', 'and its password');
is($arguments->[0], '-X', 'no psqlrc');
ok((grep { $_ eq '-w' } @$arguments), 'no prompt for a password');
my $environment = read_file("$place/seen.environment");
like($environment, qr/^PGCLIENTENCODING=UTF8$/m, 'UTF-8, whatever the locale');
unlike(join("\n", @$arguments), qr/SELECT|CALL/, 'no SQL on the command line');

# The files that it makes
my $tmp = scratch_dir();
write_file("$place/psql", "#!/bin/sh\nls -ld \"\$TMPDIR\"/tapmig.* >\"\$RECORD.directory\"\nls -l \"\$TMPDIR\"/tapmig.*/ >\"\$RECORD.files\"\nexit 2\n");
my ($exit) = run_tapmig(undef, [ 'status', '--dir', $dir ], env =>
	{ PATH => "$place:$ENV{PATH}", RECORD => "$place/seen", TMPDIR => $tmp, TAPMIG_BIN => tapmig_bin() });
is($exit, 3, 'psql fails');
like(read_file("$place/seen.directory"), qr/\Adrwx------/, "the temporary directory is its owner's");
unlike(read_file("$place/seen.files"), qr/^.r..[^-]/m, 'and so are its files');
is_deeply([ glob("$tmp/*") ], [], 'and it is removed');

done_testing();
