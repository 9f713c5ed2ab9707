# RESET SESSION AUTHORIZATION, RESET ROLE, DISCARD ALL and their kin in a
# stepwise script: each later step is the user that a session would be which
# runs the same statements, and no step gains a right that way.

use strict;
use warnings;

use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE root LOGIN SUPERUSER;
CREATE ROLE deployer LOGIN;
CREATE ROLE plain LOGIN;
CREATE ROLE owner_role NOLOGIN;
CREATE ROLE by_default LOGIN;
CREATE ROLE boss LOGIN SUPERUSER;
GRANT owner_role TO deployer, by_default;
ALTER ROLE by_default SET role = 'owner_role';
ALTER ROLE boss SET role = 'plain';
GRANT USAGE ON SCHEMA tapmig TO PUBLIC;
GRANT EXECUTE ON PROCEDURE tapmig.run(text, text, text, text, text) TO PUBLIC;
CREATE TABLE public.seen (id serial, who text);
GRANT ALL ON public.seen, public.seen_id_seq TO PUBLIC;
CREATE TABLE public.secret (a int);
REVOKE ALL ON public.secret FROM PUBLIC;
SQL

my $who = "concat_ws(' ', current_user, session_user, current_setting('role'), current_setting('session_authorization'), current_setting('is_superuser'), current_setting('work_mem'), current_setting('search_path'))";
my $see = "INSERT INTO public.seen (who) SELECT $who";

# In a transaction, whether it may read what only a superuser may, and in a block
# that commits
my @look = (
	$see,
	"DO \$\$BEGIN PERFORM 1 FROM public.secret; INSERT INTO public.seen (who) VALUES ('may'); EXCEPTION WHEN insufficient_privilege THEN INSERT INTO public.seen (who) VALUES ('may not'); END\$\$",
	"DO \$\$BEGIN COMMIT; $see; END\$\$");

# What each caller does before
my %callers = (
	'plain user'                => [ 'plain' ],
	'plain user with a role'    => [ 'deployer', 'SET ROLE owner_role', "SET work_mem = '7MB'" ],
	'role by default'           => [ 'by_default' ],
	'role by default, left'     => [ 'by_default', 'SET ROLE NONE' ],
	'superuser'                 => [ 'root' ],
	'superuser, as a plain role' => [ 'root', 'SET ROLE plain' ],
	'superuser, as a session'   => [ 'root', 'SET SESSION AUTHORIZATION deployer' ],
	'superuser, as both'        => [ 'root', 'SET SESSION AUTHORIZATION deployer', 'SET ROLE owner_role' ],
	'superuser, plain by default' => [ 'boss' ],
	'superuser, plain by default, left' => [ 'boss', 'SET ROLE NONE' ],
);

# What the scripts do
my @scripts = (
	['RESET SESSION AUTHORIZATION'],
	['SET SESSION AUTHORIZATION DEFAULT'],
	['RESET ROLE'],
	['SET ROLE NONE'],
	['DISCARD ALL'],
	['SET SESSION AUTHORIZATION root'],
	['SET SESSION AUTHORIZATION plain'],
	['SET ROLE root'],
	['SET ROLE owner_role', 'RESET ROLE'],
	['SET ROLE owner_role', 'DISCARD ALL'],
	['SET SESSION AUTHORIZATION deployer', 'SET ROLE owner_role', 'RESET ROLE', 'RESET SESSION AUTHORIZATION'],
	['SET SESSION AUTHORIZATION deployer', 'SET ROLE owner_role', 'DISCARD ALL'],
	["SELECT set_config('role', 'owner_role', false)", "SELECT set_config('role', 'none', false)"],
	["SELECT set_config('session_authorization', 'root', false)"],
	["SET search_path = pg_catalog", 'RESET SESSION AUTHORIZATION', 'RESET search_path'],
);

sub begin
{
	my ($user, @before) = @{ $_[0] };
	my $session = session($node, user => $user);

	for (@before)
	{
		my $r = $session->try($_);
		die $r->{message} unless $r->{ok};
	}
	return $session;
}

sub all_seen
{
	my $all = rows_of($node, 'SELECT who FROM seen ORDER BY id');

	sql_try($node, 'TRUNCATE seen');
	return $all;
}

my $version = 100;
for my $caller (sort keys %callers)
{
	for my $script (@scripts)
	{
		my @statements = (@look, map { ($_, @look) } @$script);
		my $what       = "$caller: " . join('; ', @$script);

		# The session itself, statement after statement
		my $session = begin($callers{$caller});
		my $expected_error = '';
		for (@statements)
		{
			my $r = $session->try($_);
			next if $r->{ok};
			$expected_error = "$r->{sqlstate} $r->{message}";
			last;
		}
		$session->close;
		my $expected = all_seen();

		# The worker
		$session = begin($callers{$caller});
		my $before = $session->try("SELECT $who")->{value};
		$version++;
		my $r = $session->try('CALL tapmig.run($1, $2)', bind => [ $version, join(";\n", @statements, 'VACUUM public.secret', @look) ]);
		my $seen = all_seen();
		if ($expected_error ne '')
		{
			is("$r->{sqlstate} " . ($r->{message} // ''), $expected_error, "$what: refused as in the session");
		}
		else
		{
			is($r->{value}, 'applied', "$what: applied") or diag explain $r;

			# The last look, behind a VACUUM, sees the same as the one before it.
			my @lines = split /\n/, $expected;
			$expected = join "\n", @lines, @lines[ -3 .. -1 ];
		}
		is($seen, $expected, "$what: each step is who the session would be");
		is($session->try("SELECT $who")->{value}, $before, "$what: the session stays who it was");
		$session->close;
	}
}

# A first step's identity is the script's: who resumes it needs the right to it.
my $change = "%s;\nVACUUM public.seen;\nSELECT * FROM later_%s;\n$see;\n";
my $n      = 0;
for my $set ('SET SESSION AUTHORIZATION deployer', 'SET ROLE owner_role')
{
	$n++;
	my $script = sprintf($change, $set, $n);
	my $root   = session($node, user => 'root');

	is_error($root->try('CALL tapmig.run($1, $2)', bind => [ "90$n", $script ]), '42P01', qr/later_$n/, "$set: the third step fails");
	all_seen();
	sql_try($node, "CREATE TABLE later_$n (); GRANT SELECT ON later_$n TO PUBLIC");
	my $plain = session($node, user => 'plain');
	is_error($plain->try('CALL tapmig.run($1, $2)', bind => [ "90$n", $script ]), '42501', qr/permission denied to set/, "$set: a plain user can't resume it");
	is(all_seen(), '', "$set: nothing of it was run");
	is(sql_value($node, "SELECT tapmig.is_applied('90$n')"), 'f', "$set: nor recorded");
	is($root->try('CALL tapmig.run($1, $2)', bind => [ "90$n", $script ])->{value}, 'applied', "$set: the superuser can");
	is(all_seen(), $n == 1 ? 'deployer deployer none deployer off 4MB "$user", public' : 'owner_role root owner_role root off 4MB "$user", public',
		"$set: with the user of the first step");
}

# And one that was begun by a superuser as such is resumed with the rights of
# whoever resumes it.
{
	my $script = "SET search_path = public;\nVACUUM public.seen;\nSELECT * FROM later_3;\nSELECT * FROM secret;\n";
	is_error(run($node, '910', $script, user => 'root'), '42P01', qr/later_3/, 'a superuser begins');
	sql_try($node, 'CREATE TABLE later_3 (); GRANT SELECT ON later_3 TO PUBLIC');
	is_error(run($node, '910', $script, user => 'plain'), '42501', qr/permission denied for table secret/, 'a plain user resumes with his own rights');
	is(run($node, '910', $script, user => 'root')->{value}, 'applied', 'the superuser ends it');
}

is(rows_of($node, 'SELECT * FROM tapmig.verify()'), '', 'the ledger is in order');
done_testing();
